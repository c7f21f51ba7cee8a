import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputArbiter } from './input-arbiter.ts';
import { strokesOf } from './key-strokes.ts';
import { HOST, LEASE_ACTIONS, NOBODY, ROLES } from './messages.ts';

/** What the guest believes to be down. */
function guest() {
  const down = new Set<number>();
  const seen: number[] = [];
  const typed: string[] = [];
  const wheels: number[][] = [];
  let buttons = 0;
  const arbiter = new InputArbiter({
    keyboard: {
      putScancodes: (set1) => {
        seen.push(...set1);
        for (const { key, isDown } of strokesOf(Uint8Array.from(set1)) ?? []) {
          if (isDown) down.add(key);
          else down.delete(key);
        }
      },
    },
    mouse: {
      move: (_dx, _dy, dz, now, dw) => {
        buttons = now;
        if (dz !== 0 || dw !== 0) wheels.push([dz, dw]);
      },
    },
    typeText: (text) => typed.push(text),
    onLease: () => {},
  });
  const keys = (participant: number, ...scancodes: number[]): void =>
    arbiter.keys({ participant, epoch: arbiter.lease.epoch, scancodes: Uint8Array.from(scancodes) });
  const act = (participant: number, action: (typeof LEASE_ACTIONS)[number], target = 0): void =>
    arbiter.act({ participant, action, target });
  return { arbiter, keys, act, down, seen, typed, wheels, buttons: () => buttons };
}

const [ANN, BOB, EVE] = [1, 2, 3];
const A = 0x1e;
const SHIFT = 0x2a;

function classroom() {
  const all = guest();
  all.arbiter.join(ANN, 'control');
  all.arbiter.join(BOB, 'control');
  all.arbiter.join(EVE, 'view');
  return all;
}

describe('sharing', () => {
  it('lets everybody but viewers type', () => {
    const { keys, seen, arbiter, typed } = classroom();
    keys(ANN, A, A | 0x80);
    keys(BOB, 0xe0, 0x48, 0xe0, 0xc8);
    keys(EVE, 0x10, 0x90);
    keys(9, 0x11, 0x91);
    arbiter.hostKeyboard.putScancodes([0x39, 0xb9]);
    arbiter.typed({ participant: EVE, epoch: 0, text: 'rm' });
    arbiter.typed({ participant: BOB, epoch: 0, text: 'ls' });
    expect(seen).toEqual([A, A | 0x80, 0xe0, 0x48, 0xe0, 0xc8, 0x39, 0xb9]);
    expect(typed).toEqual(['ls']);
  });

  it('lets Pause through and refuses halves of codes', () => {
    const { keys, seen } = classroom();
    keys(ANN, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    expect(seen.splice(0)).toHaveLength(6);
    for (const bad of [[0xe0], [A, 0xe0], [0xe1, 0x1d], [0], [0x80], [0x60], [0xff, 0xe0]]) keys(ANN, ...bad);
    expect(seen).toEqual([]);
  });

  it('turns both wheels for who may, and for nobody else', () => {
    const { arbiter, wheels } = classroom();
    for (const participant of [ANN, EVE, HOST]) {
      arbiter.mouse({ participant, epoch: 0, dx: 0, dy: 0, dz: 1, buttons: 0, dw: participant === ANN ? -2 : 3 });
    }
    arbiter.mouse({ participant: ANN, epoch: 1, dx: 0, dy: 0, dz: 0, buttons: 0, dw: 1 });
    arbiter.hostMouse.move(0, 0, 0, 0, 4);
    expect(wheels).toEqual([
      [1, -2],
      [1, 3],
      [0, 4],
    ]);
  });

  it('lets go of what somebody held who leaves, but not of what another holds too', () => {
    const { keys, arbiter, down, buttons } = classroom();
    keys(ANN, SHIFT, A);
    keys(BOB, SHIFT);
    arbiter.mouse({ participant: ANN, epoch: 0, dx: 1, dy: 1, dz: 0, buttons: 1, dw: 0 });
    arbiter.mouse({ participant: BOB, epoch: 0, dx: 1, dy: 1, dz: 0, buttons: 2, dw: 0 });
    expect(buttons()).toBe(3);
    arbiter.leave(ANN);
    expect([...down]).toEqual([SHIFT]);
    expect(buttons()).toBe(2);
    keys(BOB, SHIFT | 0x80);
    expect(down.size).toBe(0);
  });
});

describe('a lease', () => {
  it('is requested, given, handed on when its holder leaves, and overridden by an owner', () => {
    const { act, arbiter, keys, seen, down } = classroom();
    act(ANN, 'lease');
    expect(arbiter.lease.mode).toBe('share');
    act(HOST, 'lease');
    expect(arbiter.lease).toMatchObject({ mode: 'lease', holder: HOST });
    act(ANN, 'request');
    act(BOB, 'request');
    act(EVE, 'request');
    expect(arbiter.lease.asking).toEqual([ANN, BOB]);
    keys(ANN, A);
    expect(seen).toEqual([]);
    act(HOST, 'give', ANN);
    keys(ANN, A);
    expect([...down]).toEqual([A]);
    act(BOB, 'take', BOB);
    expect(arbiter.lease.holder).toBe(ANN);
    arbiter.leave(ANN);
    expect(down.size).toBe(0);
    expect(arbiter.lease).toMatchObject({ holder: BOB, asking: [] });
    act(BOB, 'give', EVE);
    expect(arbiter.lease.holder).toBe(BOB);
    act(HOST, 'take', HOST);
    expect(arbiter.lease.holder).toBe(HOST);
    act(HOST, 'release');
    expect(arbiter.lease.holder).toBe(NOBODY);
    act(BOB, 'request');
    expect(arbiter.lease.holder).toBe(BOB);
  });

  it('makes the host wait, too', () => {
    const { act, arbiter, seen } = classroom();
    act(HOST, 'lease');
    act(HOST, 'give', ANN);
    arbiter.hostKeyboard.putScancodes([A]);
    expect(seen).toEqual([]);
  });

  it('ends what was sent under an earlier one', () => {
    const { act, arbiter, seen } = classroom();
    act(HOST, 'lease');
    act(HOST, 'give', ANN);
    const { epoch } = arbiter.lease;
    act(HOST, 'take', HOST);
    act(HOST, 'give', ANN);
    arbiter.keys({ participant: ANN, epoch, scancodes: Uint8Array.of(A) });
    expect(seen).toEqual([]);
  });
});

describe('whatever people do', () => {
  const who = fc.nat(5);
  const event = fc.oneof(
    fc.record({ kind: fc.constant('keys' as const), who, code: fc.constantFrom(A, SHIFT, 0x9e, 0xaa, 0x48, 0xc8) }),
    fc.record({ kind: fc.constant('mouse' as const), who, buttons: fc.nat(31) }),
    fc.record({ kind: fc.constant('act' as const), who, action: fc.constantFrom(...LEASE_ACTIONS), target: who }),
    fc.record({ kind: fc.constant('join' as const), who, role: fc.constantFrom(...ROLES) }),
    fc.record({ kind: fc.constant('leave' as const), who }),
  );

  it('nothing stays down for those who cannot let go, and viewers do nothing', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const { arbiter, keys, act, down, seen, buttons } = guest();
        const roles = new Map<number, string>([[HOST, 'owner']]);
        for (const one of events) {
          const before = seen.length;
          if (one.kind === 'keys') {
            keys(one.who, one.code);
            const { mode, holder } = arbiter.lease;
            const isAllowed = (roles.get(one.who) ?? 'view') !== 'view' && (mode === 'share' || holder === one.who);
            if (!isAllowed) expect(seen.length).toBe(before);
          } else if (one.kind === 'mouse') {
            const { epoch } = arbiter.lease;
            arbiter.mouse({ participant: one.who, epoch, dx: 0, dy: 0, dz: 0, buttons: one.buttons, dw: 0 });
          } else if (one.kind === 'act') act(one.who, one.action, one.target);
          else if (one.who === HOST) continue;
          else if (one.kind === 'join') {
            arbiter.join(one.who, one.role);
            roles.set(one.who, one.role);
          } else {
            arbiter.leave(one.who);
            roles.delete(one.who);
          }
          const { holder, mode } = arbiter.lease;
          if (mode === 'lease' && holder === NOBODY) expect([down.size, buttons()]).toEqual([0, 0]);
          expect(holder === NOBODY || (roles.get(holder) ?? 'view') !== 'view').toBe(true);
        }
        for (const one of roles.keys()) arbiter.leave(one);
        arbiter.letGo(HOST);
        expect([down.size, buttons()]).toEqual([0, 0]);
      }),
      { numRuns: 500 },
    );
  });
});
