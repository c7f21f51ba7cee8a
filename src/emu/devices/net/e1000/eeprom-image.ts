/** What the factory wrote into a card's EEPROM. Source: 8254x SDM (317453), section 5.6 (EEPROM map). */
import { EEPROM_WORDS } from './microwire-eeprom.ts';
import type { E1000Model } from './models.ts';

const WORD = {
  compatibility: 0x03,
  partNumber: 0x08,
  control1: 0x0a,
  subsystemId: 0x0b,
  subsystemVendorId: 0x0c,
  deviceId: 0x0d,
  vendorId: 0x0e,
  control2: 0x0f,
  checksum: 0x3f,
} as const;
/** Signature, 32-bit BARs, full duplex, identifiers are loaded from here. */
const CONTROL1 = 0x6403;
/** Pause both ways. */
const CONTROL2 = 0x3000;
/** Sum of all words. */
const CHECKSUM = 0xbaba;

/** @param mac six bytes */
export function eepromImage(model: E1000Model, mac: Uint8Array): Uint16Array {
  const words = new Uint16Array(EEPROM_WORDS);
  for (let i = 0; i < 3; i++) words[i] = mac[i * 2] | (mac[i * 2 + 1] << 8);
  words[WORD.compatibility] = 0;
  words[WORD.partNumber] = 0xffff;
  words[WORD.partNumber + 1] = 0xffff;
  words[WORD.control1] = CONTROL1;
  words[WORD.subsystemId] = model.subsystemId;
  words[WORD.subsystemVendorId] = model.subsystemVendorId;
  words[WORD.deviceId] = model.deviceId;
  words[WORD.vendorId] = 0x8086;
  words[WORD.control2] = CONTROL2;
  words[WORD.checksum] = CHECKSUM - words.reduce((sum, word) => sum + word, 0);
  return words;
}
