// @ts-check
import { button, byId, dialog, input, text } from '../ui/dom.js';
import { toast } from '../ui/toast.js';
import { words } from '../ui/words.js';
import { signIn, storedToken, storeToken } from './identity.js';

/** The player's name in the head of the page, and the dialog that changes it. */
export class Profile {
  /** @param {import('../client/tickcast.js').Client} client */
  constructor(client) {
    this.client = client;
    button('profile-button').addEventListener('click', () => {
      input('profile-name').value = client.player?.name ?? '';
      this.#swap(null, '');
      dialog('profile-dialog').showModal();
      input('profile-name').select();
    });
    /** another guest, whom the player may become or not */
    /** @type {{token: string} | null} */
    this.other = null;
    button('swap-no').addEventListener('click', () => dialog('profile-dialog').close());
    button('swap-yes').addEventListener('click', () => {
      if (!this.other) return;
      storeToken(this.other.token);
      location.reload(); // nothing on this page is the other's
    });
    byId('profile-form').addEventListener('submit', (ev) => {
      ev.preventDefault();
      void this.#rename(input('profile-name').value.trim());
    });
  }

  /** @param {import('../client/messages.js').Player} p */
  show(p) {
    text(byId('player-name'), p.name || p.id);
    text(byId('avatar'), ([...(p.name || p.id)][0] ?? '?').toUpperCase());
    const guest = p.guest ?? false;
    input('profile-name').disabled = !guest;
    text(
      byId('profile-hint'),
      guest ? 'Up to 32 letters. You play as a guest: this browser keeps your sign-in.' : 'Your name comes from where you signed in.',
    );
  }

  /** @param {string} name */
  async #rename(name) {
    const before = this.client.player;
    if (!before?.guest || !name || name === before.name) return dialog('profile-dialog').close();
    try {
      const guest = await signIn(name, storedToken());
      if (guest.player.id !== before.id) return this.#swap(guest, name);
      storeToken(guest.token);
      dialog('profile-dialog').close();
      this.client.renew();
      toast(`You are ${guest.player.name} now.`, 'good');
    } catch (err) {
      toast(words(/** @type {any} */ (err)), 'bad');
    }
  }

  /**
   * Asks before somebody gives up who he is.
   * @param {{token: string} | null} guest
   * @param {string} name
   */
  #swap(guest, name) {
    this.other = guest;
    byId('profile-form').hidden = guest !== null;
    byId('profile-swap').hidden = guest === null;
    text(byId('swap-name'), name);
  }
}
