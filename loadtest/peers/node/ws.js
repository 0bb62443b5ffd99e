// Node ws: a text message, made bytes once, to each client of the server's set.
'use strict'
const { WebSocketServer } = require('ws')
const { control } = require('./control')

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4096 })
server.on('connection', (client) => client.on('error', () => {}))
server.on('listening', () => {
  console.log(`listening ${server.address().port}`)
  control((message) => {
    const text = Buffer.from(JSON.stringify(message))
    for (const client of server.clients) client.send(text, { binary: false })
  })
})
