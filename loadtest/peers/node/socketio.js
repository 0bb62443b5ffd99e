// socket.io: an event to everybody, over the WebSocket transport.
'use strict'
const http = require('node:http')
const { Server } = require('socket.io')
const { control } = require('./control')

const server = http.createServer()
const io = new Server(server, { transports: ['websocket'] })
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`)
  control((message) => io.emit('update', message))
})
