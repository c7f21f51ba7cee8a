/**
 * Resource descriptors for _CRS and _PRS.
 * Source: ACPI Specification 2.0, section 6.4 (resource data types for ACPI).
 */
import { type Aml, buffer, dwordBytes } from './aml.ts';

const wordBytes = (v: number): number[] => [v & 0xff, (v >>> 8) & 0xff];

/** `IO (Decode16, base, base, 1, portCount)`: fixed, so the alignment says nothing. */
export const io = (base: number, portCount: number): number[] => [
  0x47,
  1,
  ...wordBytes(base),
  ...wordBytes(base),
  1,
  portCount,
];

/** `IRQNoFlags () {irq}`: edge, active high, exclusive. */
export const irq = (number: number): number[] => [0x22, ...wordBytes(1 << number)];

/** `DMA (Compatibility, NotBusMaster, Transfer8) {channel}`. */
export const dma8 = (channel: number): number[] => [0x2a, 1 << channel, 0];

/** `Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) {numbers}`: the numbers start at byte 5. */
export const interrupt = (numbers: readonly number[]): number[] => [
  0x89,
  ...wordBytes(2 + 4 * numbers.length),
  0x09, // consumer, level, active high, shared
  numbers.length,
  ...numbers.flatMap(dwordBytes),
];
/** Where the first number is in an `interrupt` descriptor, in bytes. */
export const INTERRUPT_NUMBER_AT = 5;

/** `Memory32Fixed (ReadWrite, base, length)`. */
export const memory32Fixed = (base: number, byteCount: number): number[] => [
  0x86,
  ...wordBytes(9),
  1,
  ...dwordBytes(base),
  ...dwordBytes(byteCount),
];

/** `WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, first, last, 0, count)`. */
export const wordBusNumber = (first: number, last: number): number[] => word16(2, 0, first, last);
/** `WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, ...)`. */
export const wordIo = (first: number, last: number): number[] => word16(1, 3, first, last);

/** Word address space descriptor, minimum and maximum fixed. */
function word16(type: number, typeFlags: number, first: number, last: number): number[] {
  const fields = [0, first, last, 0, last - first + 1];
  return [0x88, ...wordBytes(13), type, 0x0c, typeFlags, ...fields.flatMap(wordBytes)];
}

/** `DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable or NonCacheable, ReadWrite, ...)`. */
export function dwordMemory(first: number, last: number, cacheable: boolean): number[] {
  const fields = [0, first, last, 0, last - first + 1];
  return [0x87, ...wordBytes(23), 0, 0x0c, cacheable ? 3 : 1, ...fields.flatMap(dwordBytes)];
}

/** `ResourceTemplate () { ... }` with its end tag. A checksum of zero means "not checked". */
export const resourceTemplate = (descriptors: readonly (readonly number[])[]): Aml =>
  buffer([...descriptors.flat(), 0x79, 0]);
