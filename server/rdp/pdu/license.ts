/** Licensing that asks for nothing. Source: [MS-RDPBCGR] 2.2.1.12 (Valid Client); [MS-RDPELE] 2.2.2. */
import { PduWriter } from './bytes.ts';

const ERROR_ALERT = 0xff;
const PREAMBLE_VERSION_3 = 3;
const STATUS_VALID_CLIENT = 7;
const ST_NO_TRANSITION = 2;
const BB_ERROR_BLOB = 4;

/** A licence PDU that says that the client needs none, without its security header. */
export const encodeValidClient = (): Uint8Array =>
  new PduWriter()
    .u8(ERROR_ALERT)
    .u8(PREAMBLE_VERSION_3)
    .u16(16)
    .u32(STATUS_VALID_CLIENT)
    .u32(ST_NO_TRANSITION)
    .u16(BB_ERROR_BLOB)
    .u16(0)
    .done();
