/** The 16 bytes a PCnet card shows at its first ports. Source: Am79C970A data sheet, "Address PROM". */

const HARDWARE_ID = 0x11;

/** @param mac six bytes */
export function addressProm(mac: Uint8Array): Uint8Array {
  const prom = new Uint8Array(16);
  prom.set(mac);
  prom[9] = HARDWARE_ID;
  // "WW"
  prom.fill(0x57, 14);
  const sum = prom.reduce((total, byte) => total + byte, 0);
  prom[12] = sum;
  prom[13] = sum >>> 8;
  return prom;
}
