// @ts-check
// The messages of docs/protocol.md as types. Nothing here exists at run time.

/**
 * @typedef {{log: string, seq: number}} Position
 * @typedef {{id: string, name: string, guest?: boolean}} Player
 * @typedef {{code: string, message: string, temporary?: boolean}} WireError
 * @typedef {{e: string, [field: string]: any}} GameEvent
 * @typedef {{id: number, at: number, player: string, name: string, text: string}} ChatLine
 *
 * @typedef {{type: 'welcome', protocol: number, session: string, resumed: boolean, gateway: string, player: Player,
 *   rooms?: Record<string, Position>, ping_ms: number, now: number}} Welcome
 * @typedef {{type: 'joined', id?: number, room: string, was_recovering: boolean,
 *   source: 'ring' | 'gateway' | 'owner' | 'follower' | 'snapshot', recovered: boolean, position: Position, epoch: number, t: number,
 *   snapshot?: any, you?: any, chat?: ChatLine[], players: number}} Joined
 * @typedef {{type: 'left', id?: number, room: string}} Left
 * @typedef {{type: 'update', room: string, seq: number, t: number, events: GameEvent[]}} Update
 * @typedef {{type: 'tick', room: string, seq: number, t: number, epoch: number}} Tick
 * @typedef {{type: 'answer', room: string, key: string, ok: boolean, result?: any, error?: WireError}} Answer
 * @typedef {{type: 'notice', room: string, event: GameEvent}} Notice
 * @typedef {{type: 'balance', amount: number, version: number}} Balance
 * @typedef {{type: 'presence', room: string, players: number}} Presence
 * @typedef {{type: 'skip', room: string, from: number, to: number}} Skip
 * @typedef {{type: 'chat', room: string} & ChatLine} Chat
 * @typedef {{type: 'ping', id: number, now: number}} Ping
 * @typedef {{type: 'pong', id: number, now: number}} Pong
 * @typedef {{type: 'move', within_ms: number}} Move
 * @typedef {{type: 'retry', after_ms: number}} Retry
 * @typedef {{type: 'error', id?: number, room?: string} & WireError} ErrorMessage
 *
 * @typedef {Welcome | Joined | Left | Update | Tick | Answer | Notice | Balance | Presence | Skip | Chat | Ping | Pong
 *   | Move | Retry | ErrorMessage} ServerMessage
 */

export {};
