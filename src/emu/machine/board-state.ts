/** The records of all devices, by name, and the order in which they take them back. */
import { CodedError } from '#base/errors.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import type { Board } from './board.ts';

/** Each device's own record. */
export type DeviceRecord = Readonly<Record<string, unknown>>;

/**
 * INVARIANT: devices drive their wires when they are restored, so the interrupt controllers come last: their records
 * already hold what the wires brought.
 */
function devicesOf(board: Board): readonly (readonly [name: string, device: Saveable<unknown>])[] {
  return [
    ['hostBridge', board.hostBridge],
    ['pci', board.pci],
    ['vga', board.vga],
    ...(board.vmmDev ? [['vmmDev', board.vmmDev] as const] : []),
    ['fwCfg', board.fwCfg],
    ...(board.flash ? [['flash', board.flash] as const] : []),
    ['dma', board.dma],
    ['pit', board.pit],
    ['systemControl', board.systemControl],
    ['rtc', board.rtc],
    ['keyboard', board.keyboard],
    ['mouse', board.mouse],
    ['i8042', board.i8042],
    ...board.serial.map((line, n) => [`serial${n}`, line.uart] as const),
    ['postCode', board.postCode],
    ['floatError', board.floatError],
    ['fdc', board.fdc],
    ...[...board.network.cards].map(([slot, card]) => [`nic${slot}`, card] as const),
    ...(board.sound ? [['sound', board.sound] as const] : []),
    ['isaBridge', board.isaBridge],
    ['ide', board.ide],
    ['powerManagement', board.powerManagement],
    ...board.interrupts.saveables,
  ];
}

/** @throws CodedError<'busy'> while a device waits for its medium */
export function saveDevices(board: Board): DeviceRecord {
  return Object.fromEntries(devicesOf(board).map(([name, device]) => [name, device.save()]));
}

/** @throws CodedError<'damaged-state'> when a device has no record */
export function restoreDevices(board: Board, record: DeviceRecord): void {
  for (const [name, device] of devicesOf(board)) {
    const state = record[name];
    if (state === undefined) {
      throw new CodedError('damaged-state', `the saved machine has no record of ${name}; use another copy`, { name });
    }
    device.restore(state);
  }
}
