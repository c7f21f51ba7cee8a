/** Numbers that must not be mixed up: compile-time brands, no run-time cost. */
declare const unit: unique symbol;
export type Unit<Name extends string> = number & { readonly [unit]: Name };

/** Guest-physical byte address: 0 <= x < 2^52, so always a safe integer. */
export type GuestPhys = Unit<'GuestPhys'>;
/** Guest time since power-on in nanoseconds, monotonic. A safe integer for 104 days. */
export type GuestNs = Unit<'GuestNs'>;

/** Brand a number whose range the caller has checked. The only casts live here. */
export const guestPhys = (bytes: number): GuestPhys => bytes as GuestPhys;
export const guestNs = (ns: number): GuestNs => ns as GuestNs;

export const KIB = 1024;
export const MIB = 1024 * 1024;
export const SECTOR_BYTES = 512;
export const PAGE_BYTES = 4096;
