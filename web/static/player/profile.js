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
      dialog('profile-dialog').showModal();
      input('profile-name').select();
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
      storeToken(guest.token);
      dialog('profile-dialog').close();
      if (guest.player.id !== before.id) location.reload(); // somebody else: nothing on this page is his
      else this.client.renew();
      toast(`You are ${guest.player.name} now.`, 'good');
    } catch (err) {
      toast(words(/** @type {any} */ (err)), 'bad');
    }
  }
}
