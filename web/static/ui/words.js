// @ts-check
// The stable codes of the protocol in plain words. A code that is not here is
// shown with the server's own message.

/** @type {Record<string, string>} */
const WORDS = {
  rate_limited: 'That was too fast. Wait a moment.',
  busy: 'Too many things at once. Wait a moment.',
  unavailable: 'The room cannot be reached at the moment.',
  no_answer: 'No answer came. Check your bets before you try again.',
  closed: 'The connection is closed.',
  not_joined: 'You are not in this room any more.',
  unknown_room: 'This room does not exist any more.',
  bad_room: 'This is not the name of a room.',
  too_many_rooms: 'You are in too many rooms at once.',
  muted: 'An operator has muted you.',
  bad_text: 'This message cannot be sent: 1 to 280 bytes of plain text.',
  guests_off: 'Guests cannot play here. Sign in first.',
  too_many_players: 'Too many guests from your network. Try again later.',
  conflict: 'This was already sent with other values.',
  stale_round: 'That round is over.',
  wrong_round: 'That round is not open for this.',
  wrong_phase: 'Too late for this round.',
  too_many_commands: 'Too many bets and cancellations in this round.',
  bad_amount: 'A stake is a whole number of credits.',
  below_minimum: 'The stake is below the minimum of this room.',
  above_maximum: 'The stake is above the maximum of this room.',
  bad_target: 'An automatic cash-out starts at 1.01× and ends at the cap of this room.',
  bad_slot: 'There is no such bet.',
  slot_taken: 'You have already placed this bet.',
  no_bet: 'There is no open bet here.',
  too_early: 'Cashing out starts at 1.01×.',
  too_late: 'Too late: the round had crashed.',
  insufficient_funds: 'Your balance does not cover this stake.',
  temporarily_unavailable: 'The bet could not be booked in time. Nothing was taken.',
  bet_voided: 'The round was voided. Your stake comes back.',
  too_fast: 'Nobody taps that fast.',
  balance_not_zero: 'A refill is for an empty balance.',
  wallet_refused: 'Your wallet does not take part in this.',
  invalid_token: 'Your sign-in is not valid any more.',
  room_exists: 'A room with this ID exists already.',
  no_room: 'There is no such room.',
  unknown_game: 'There is no such game.',
  bad_settings: 'These settings are out of range.',
  not_running: 'The room is not running, or has no round at the moment.',
  already_running: 'The room is running already.',
  forbidden: 'The operator key is wrong.',
};

/**
 * @param {{code?: string, message?: string}} e
 * @returns {string}
 */
export function words(e) {
  return (e.code && WORDS[e.code]) || e.message || e.code || 'Something went wrong.';
}

/**
 * What a close code means for a player.
 * @param {number} code
 */
export function closeWords(code) {
  switch (code) {
    case 3500:
      return 'Your sign-in is not valid any more.';
    case 3501:
    case 1003:
    case 1007:
    case 1009:
      return 'The server did not understand this page. Reload it.';
    case 3502:
      return 'The server waited too long for this page. Reload it.';
    case 3503:
      return 'An operator has removed you from the game.';
    case 3504:
      return 'You are playing in too many windows. Close one of them.';
    case 3507:
      return 'You are not allowed to play here.';
    case 4100:
      return 'The server is full.';
    case 4500:
      return 'The room was closed.';
  }
  return 'The connection was lost.';
}
