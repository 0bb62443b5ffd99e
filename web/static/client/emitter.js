// @ts-check

/**
 * Typed events. T maps the name of an event to the type of its one argument.
 * @template {Record<string, any>} T
 */
export class Emitter {
  constructor() {
    /** @type {Map<keyof T, Set<(arg: any) => void>>} */
    this.listeners = new Map();
  }

  /**
   * Calls fn at each event of that name.
   * @template {keyof T} K
   * @param {K} name
   * @param {(arg: T[K]) => void} fn
   * @returns {() => void} a function that stops it
   */
  on(name, fn) {
    let set = this.listeners.get(name);
    if (!set) this.listeners.set(name, (set = new Set()));
    set.add(fn);
    return () => set.delete(fn);
  }

  /**
   * A listener that throws does not keep the others from hearing the event.
   * @template {keyof T} K
   * @param {K} name
   * @param {T[K]} arg
   */
  emit(name, arg) {
    for (const fn of [...(this.listeners.get(name) ?? [])]) {
      try {
        fn(arg);
      } catch (err) {
        reportError(err);
      }
    }
  }
}
