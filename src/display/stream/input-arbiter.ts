/**
 * Who may type: takes everybody's input and lets through what their role, the mode and the lease allow. It is the host's:
 * whatever the relay has checked before is checked here again.
 *
 * Keys and buttons never stay down for somebody who can no longer let go of them: whoever leaves or loses the right lets
 * go of everything, unless somebody else holds the same key.
 */
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import { breakOf, strokesOf } from './key-strokes.ts';
import { type BodyOf, HOST, type InputMode, NOBODY, type Role } from './messages.ts';

export interface ArbiterParts {
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  /** Types text on the guest's keyboard. */
  readonly typeText: (text: string) => void;
  /** Mode, holder or those who ask have changed. */
  readonly onLease: (lease: BodyOf<'lease'>) => void;
}

interface Hand {
  readonly role: Role;
  readonly keys: Set<number>;
  buttons: number;
}

const EPOCHS = 0x1_0000;
/** Left, right, middle, fourth, fifth. */
const BUTTONS = 31;

export class InputArbiter {
  readonly #parts: ArbiterParts;
  readonly #hands = new Map<number, Hand>([[HOST, { role: 'owner', keys: new Set(), buttons: 0 }]]);
  #mode: InputMode = 'share';
  #holder: number = NOBODY;
  #epoch = 0;
  #asking: number[] = [];

  constructor(parts: ArbiterParts) {
    this.#parts = parts;
  }

  get lease(): BodyOf<'lease'> {
    return { mode: this.#mode, holder: this.#holder, epoch: this.#epoch, asking: this.#asking };
  }

  /** Input of the person at the machine, under the same rules. */
  readonly hostKeyboard: KeyboardInput = {
    putScancodes: (set1) => {
      this.keys({ participant: HOST, epoch: this.#epoch, scancodes: Uint8Array.from(set1) });
    },
  };

  readonly hostMouse: MouseInput = {
    move: (dx, dy, dz, buttons, dw) => {
      this.mouse({ participant: HOST, epoch: this.#epoch, dx, dy, dz, buttons, dw });
    },
  };

  join(participant: number, role: Role): void {
    if (participant === HOST || this.#hands.get(participant)?.role === role) return;
    this.leave(participant);
    this.#hands.set(participant, { role, keys: new Set(), buttons: 0 });
  }

  leave(participant: number): void {
    const hand = this.#hands.get(participant);
    if (!hand || participant === HOST) return;
    this.#letGo(hand);
    this.#hands.delete(participant);
    const asked = this.#withdraw(participant);
    if (this.#holder === participant) this.#pass(this.#asking[0] ?? NOBODY);
    else if (asked) this.#tell();
  }

  /** Lets go of everything that a person holds, who may go on afterwards. */
  letGo(participant: number): void {
    const hand = this.#hands.get(participant);
    if (hand) this.#letGo(hand);
  }

  /** Whether what somebody gives to the guest now is taken. */
  mayGive(participant: number): boolean {
    return this.#allowed(participant, this.#epoch) !== undefined;
  }

  keys({ participant, epoch, scancodes }: BodyOf<'keys'>): void {
    const hand = this.#allowed(participant, epoch);
    const strokes = hand && strokesOf(scancodes);
    if (!strokes) return;
    const bytes: number[] = [];
    for (const { key, isDown } of strokes) {
      const wasDown = hand.keys.has(key);
      if (isDown) hand.keys.add(key);
      else hand.keys.delete(key);
      // A release of a key that this person does not hold, or that somebody else still holds, is none.
      if (!isDown && (!wasDown || this.#isHeld(key))) continue;
      if (isDown) bytes.push(...(key & 0x100 ? [0xe0] : []), key & 0x7f);
      else bytes.push(...breakOf(key));
    }
    // Pause is all there is when there are no strokes.
    if (strokes.length === 0) bytes.push(...scancodes);
    if (bytes.length > 0) this.#parts.keyboard.putScancodes(bytes);
  }

  mouse({ participant, epoch, dx, dy, dz, buttons, dw }: BodyOf<'mouse'>): void {
    const hand = this.#allowed(participant, epoch);
    if (!hand) return;
    hand.buttons = buttons & BUTTONS;
    this.#parts.mouse.move(dx, dy, dz, this.#buttons(), dw);
  }

  typed({ participant, epoch, text }: BodyOf<'typed'>): void {
    if (this.#allowed(participant, epoch) && text !== '') this.#parts.typeText(text);
  }

  /** Asks, gives, takes: see LEASE_ACTIONS. What is not allowed is ignored. */
  act({ participant, action, target }: BodyOf<'leaseAction'>): void {
    const hand = this.#hands.get(participant);
    if (!hand || hand.role === 'view') return;
    const isOwner = hand.role === 'owner';
    const isHolder = this.#holder === participant;
    if (action === 'share' || action === 'lease') {
      if (isOwner && action !== this.#mode) this.#choose(action, participant);
    } else if (this.#mode === 'share') return;
    else if (action === 'request') this.#request(participant);
    else if (action === 'release') {
      if (isHolder) this.#pass(this.#asking[0] ?? NOBODY);
      else if (this.#withdraw(participant)) this.#tell();
    } else if ((isOwner || (action === 'give' && isHolder)) && this.#mayHold(target)) this.#pass(target);
  }

  #allowed(participant: number, epoch: number): Hand | undefined {
    const hand = this.#hands.get(participant);
    if (!hand || hand.role === 'view' || epoch !== this.#epoch) return undefined;
    return this.#mode === 'share' || this.#holder === participant ? hand : undefined;
  }

  #mayHold(participant: number): boolean {
    const hand = this.#hands.get(participant);
    return hand !== undefined && hand.role !== 'view' && participant !== this.#holder;
  }

  #request(participant: number): void {
    if (this.#holder === participant || this.#asking.includes(participant)) return;
    if (this.#holder === NOBODY) this.#pass(participant);
    else {
      this.#asking = [...this.#asking, participant];
      this.#tell();
    }
  }

  #choose(mode: InputMode, participant: number): void {
    this.#mode = mode;
    this.#asking = [];
    this.#pass(mode === 'lease' ? participant : NOBODY);
  }

  /** Everything that was held is let go, and what is still on its way no longer counts. */
  #pass(holder: number): void {
    for (const hand of this.#hands.values()) this.#letGo(hand);
    this.#withdraw(holder);
    this.#holder = holder;
    this.#epoch = (this.#epoch + 1) % EPOCHS;
    this.#tell();
  }

  #withdraw(participant: number): boolean {
    const before = this.#asking.length;
    this.#asking = this.#asking.filter((one) => one !== participant);
    return this.#asking.length < before;
  }

  #letGo(hand: Hand): void {
    const keys = [...hand.keys];
    hand.keys.clear();
    const bytes = keys.filter((key) => !this.#isHeld(key)).flatMap(breakOf);
    if (bytes.length > 0) this.#parts.keyboard.putScancodes(bytes);
    if (hand.buttons === 0) return;
    hand.buttons = 0;
    this.#parts.mouse.move(0, 0, 0, this.#buttons(), 0);
  }

  #isHeld(key: number): boolean {
    for (const { keys } of this.#hands.values()) if (keys.has(key)) return true;
    return false;
  }

  #buttons(): number {
    let buttons = 0;
    for (const hand of this.#hands.values()) buttons |= hand.buttons;
    return buttons;
  }

  #tell(): void {
    this.#parts.onLease(this.lease);
  }
}
