// The pace that the harness gives by lines of standard input: "publish RATE SIZE" and "stop", which is answered
// "stopped SEQ". The process ends with its input.
'use strict'
const readline = require('node:readline')

// monotonic is the time that servers and clients of one machine share, in ns.
const monotonic = () => process.hrtime.bigint()

// message is an update whose JSON has a size in bytes. A time in ns is exact as a number for 104 days of uptime.
const message = (seq, due, size) => {
  const m = { seq, ts: Number(due), x: '' }
  m.x = 'x'.repeat(size - JSON.stringify(m).length)
  return m
}

// control calls send(message) for each update.
exports.control = (send) => {
  let seq = 0
  let timer
  const stop = () => {
    clearTimeout(timer)
    timer = undefined
  }
  const publish = (rate, size) => {
    const begin = monotonic()
    let i = 0
    const next = () => {
      const due = begin + BigInt(Math.round(i * 1e9 / rate))
      const left = Number(due - monotonic()) / 1e6
      if (left > 0) {
        timer = setTimeout(next, left)
        return
      }
      i++
      seq++
      send(message(seq, due, size))
      timer = setTimeout(next, 0)
    }
    next()
  }
  readline.createInterface({ input: process.stdin })
    .on('line', (line) => {
      const [word, rate, size] = line.split(' ')
      stop()
      if (word === 'publish') publish(Number(rate), Number(size))
      else if (word === 'stop') console.log(`stopped ${seq}`)
      else throw new Error(`not understood: ${line}`)
    })
    .on('close', () => process.exit(0))
}
