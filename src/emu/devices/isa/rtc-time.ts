/**
 * Calendar arithmetic and register formats of the MC146818A.
 * Source: Motorola MC146818A data sheet, "Address map", table 3 (BCD, binary, 12 and 24 hour formats).
 * Not modelled: daylight saving (DSE).
 */

/** Formats that register B selects. */
export interface RtcFormat {
  /** DM: registers are binary instead of BCD. */
  readonly binary: boolean;
  /** 24/12: hours 0..23 instead of 1..12 with bit 7 for PM. */
  readonly hours24: boolean;
}

/** Offsets of the time and alarm registers in the 128 bytes; the century byte is where ACPI FADT and PC BIOSes expect it. */
export const RTC_TIME = {
  second: 0,
  secondAlarm: 1,
  minute: 2,
  minuteAlarm: 3,
  hour: 4,
  hourAlarm: 5,
  weekday: 6,
  day: 7,
  month: 8,
  year: 9,
  century: 0x32,
} as const;

const PM = 0x80;
const MS_PER_DAY = 86_400_000;

export function encodeNumber(value: number, format: RtcFormat): number {
  return format.binary ? value : (Math.floor(value / 10) << 4) | (value % 10);
}

export function decodeNumber(register: number, format: RtcFormat): number {
  return format.binary ? register : (register >> 4) * 10 + (register & 15);
}

export function encodeHour(hour: number, format: RtcFormat): number {
  if (format.hours24) return encodeNumber(hour, format);
  return encodeNumber(hour % 12 === 0 ? 12 : hour % 12, format) | (hour >= 12 ? PM : 0);
}

export function decodeHour(register: number, format: RtcFormat): number {
  if (format.hours24) return decodeNumber(register, format);
  return (decodeNumber(register & 0x7f, format) % 12) + (register & PM ? 12 : 0);
}

/**
 * Writes the time registers.
 * @param unixMs the clock's reading as if it were UTC
 * @param weekdayShift what the guest's day-of-week counter is ahead of the calendar, 0..6
 */
export function writeTime(into: Uint8Array, unixMs: number, format: RtcFormat, weekdayShift: number): void {
  const date = new Date(unixMs);
  const year = date.getUTCFullYear();
  into[RTC_TIME.second] = encodeNumber(date.getUTCSeconds(), format);
  into[RTC_TIME.minute] = encodeNumber(date.getUTCMinutes(), format);
  into[RTC_TIME.hour] = encodeHour(date.getUTCHours(), format);
  into[RTC_TIME.weekday] = encodeNumber(((date.getUTCDay() + weekdayShift) % 7) + 1, format);
  into[RTC_TIME.day] = encodeNumber(date.getUTCDate(), format);
  into[RTC_TIME.month] = encodeNumber(date.getUTCMonth() + 1, format);
  into[RTC_TIME.year] = encodeNumber(year % 100, format);
  into[RTC_TIME.century] = encodeNumber(Math.floor(year / 100), format);
}

/** Reads the time registers as whole seconds, in Unix ms; impossible dates carry into the next unit. */
export function readTime(from: Uint8Array, format: RtcFormat): number {
  const yearInCentury = decodeNumber(from[RTC_TIME.year], format) % 100;
  let century = decodeNumber(from[RTC_TIME.century], format);
  // A guest that does not keep the century byte means 1980..2079.
  if (century < 19 || century > 21) century = yearInCentury >= 80 ? 19 : 20;
  return Date.UTC(
    century * 100 + yearInCentury,
    decodeNumber(from[RTC_TIME.month], format) - 1,
    decodeNumber(from[RTC_TIME.day], format),
    decodeHour(from[RTC_TIME.hour], format),
    decodeNumber(from[RTC_TIME.minute], format),
    decodeNumber(from[RTC_TIME.second], format),
  );
}

/** How far the day-of-week register is ahead of the calendar, 0..6. */
export function weekdayShiftOf(from: Uint8Array, unixMs: number, format: RtcFormat): number {
  const weekday = decodeNumber(from[RTC_TIME.weekday], format) - 1;
  return (((weekday - new Date(unixMs).getUTCDay()) % 7) + 7) % 7;
}

/** 11xxxxxx in an alarm register matches every value. */
const isDontCare = (register: number): boolean => register >= 0xc0;

/**
 * The first second after `afterSecond` at which the alarm registers match, or Infinity when they never do.
 * @param afterSecond Unix seconds on the clock
 */
export function nextAlarm(registers: Uint8Array, afterSecond: number, format: RtcFormat): number {
  const hourRegister = registers[RTC_TIME.hourAlarm];
  const hour = isDontCare(hourRegister) ? -1 : decodeHour(hourRegister, format);
  const minuteRegister = registers[RTC_TIME.minuteAlarm];
  const minute = isDontCare(minuteRegister) ? -1 : decodeNumber(minuteRegister, format);
  const secondRegister = registers[RTC_TIME.secondAlarm];
  const second = isDontCare(secondRegister) ? -1 : decodeNumber(secondRegister, format);
  if (hour > 23 || minute > 59 || second > 59) return Number.POSITIVE_INFINITY;
  const end = afterSecond + MS_PER_DAY / 1000;
  let at = afterSecond + 1;
  while (at <= end) {
    if (hour >= 0 && Math.floor(at / 3600) % 24 !== hour) at += 3600 - (at % 3600);
    else if (minute >= 0 && Math.floor(at / 60) % 60 !== minute) at += 60 - (at % 60);
    else if (second >= 0 && at % 60 !== second) at++;
    else return at;
  }
  return Number.POSITIVE_INFINITY;
}
