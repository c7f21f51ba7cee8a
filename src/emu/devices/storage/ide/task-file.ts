import { DEVICE, ERROR, REG, STATUS } from './ata-registers.ts';

/**
 * The command block registers of one device.
 * Source: ATA/ATAPI-6, 6.20 (48-bit address feature set) and 7 (registers).
 *
 * With 48-bit commands each of five registers is two bytes deep: a write pushes the earlier value
 * to the "high order byte", which HOB in Device Control shows.
 */
export interface TaskFileState {
  features: number;
  sectorCount: number;
  lbaLow: number;
  lbaMid: number;
  lbaHigh: number;
  sectorCountHob: number;
  lbaLowHob: number;
  lbaMidHob: number;
  lbaHighHob: number;
  device: number;
  status: number;
  error: number;
  /** INTRQ: the device wants the host; a read of Status or a command takes it back. */
  interrupt: boolean;
}

export class TaskFile {
  readonly r: TaskFileState = {
    features: 0,
    sectorCount: 0,
    lbaLow: 0,
    lbaMid: 0,
    lbaHigh: 0,
    sectorCountHob: 0,
    lbaLowHob: 0,
    lbaMidHob: 0,
    lbaHighHob: 0,
    device: 0,
    status: 0,
    error: 0,
    interrupt: false,
  };

  /** Status and Data are the channel's business. */
  read(register: number, hob: boolean): number {
    const r = this.r;
    switch (register) {
      case REG.error:
        return r.error;
      case REG.sectorCount:
        return hob ? r.sectorCountHob : r.sectorCount;
      case REG.lbaLow:
        return hob ? r.lbaLowHob : r.lbaLow;
      case REG.lbaMid:
        return hob ? r.lbaMidHob : r.lbaMid;
      case REG.lbaHigh:
        return hob ? r.lbaHighHob : r.lbaHigh;
      case REG.device:
        return r.device | DEVICE.obsolete;
      default:
        return 0;
    }
  }

  write(register: number, value: number): void {
    const r = this.r;
    switch (register) {
      case REG.error:
        // No 48-bit command of the sets modelled takes a second Features byte.
        r.features = value;
        break;
      case REG.sectorCount:
        r.sectorCountHob = r.sectorCount;
        r.sectorCount = value;
        break;
      case REG.lbaLow:
        r.lbaLowHob = r.lbaLow;
        r.lbaLow = value;
        break;
      case REG.lbaMid:
        r.lbaMidHob = r.lbaMid;
        r.lbaMid = value;
        break;
      case REG.lbaHigh:
        r.lbaHighHob = r.lbaHigh;
        r.lbaHigh = value;
        break;
      case REG.device:
        r.device = value;
        break;
    }
  }

  /** Leaves the signature of clause 9.12: which kind of device this is. */
  sign(lbaMid: number, lbaHigh: number): void {
    const r = this.r;
    r.sectorCount = 1;
    r.lbaLow = 1;
    r.lbaMid = lbaMid;
    r.lbaHigh = lbaHigh;
    r.sectorCountHob = 0;
    r.lbaLowHob = 0;
    r.lbaMidHob = 0;
    r.lbaHighHob = 0;
    r.device = 0;
  }

  /** Sectors asked for: 1..256 (28-bit) or 1..65536 (48-bit); a register of zero means the most. */
  count(ext: boolean): number {
    const r = this.r;
    return ext ? (r.sectorCountHob << 8) | r.sectorCount || 0x1_0000 : r.sectorCount || 0x100;
  }

  /** The 28-bit or 48-bit address in the registers, in sectors. */
  lba(ext: boolean): number {
    const r = this.r;
    const low = r.lbaLow | (r.lbaMid << 8) | (r.lbaHigh << 16);
    if (!ext) return low + (r.device & DEVICE.head) * 0x100_0000;
    return low + (r.lbaLowHob + r.lbaMidHob * 0x100 + r.lbaHighHob * 0x1_0000) * 0x100_0000;
  }

  setLba(lba: number, ext: boolean): void {
    const r = this.r;
    r.lbaLow = lba & 0xff;
    r.lbaMid = (lba >>> 8) & 0xff;
    r.lbaHigh = (lba >>> 16) & 0xff;
    const high = Math.floor(lba / 0x100_0000);
    if (ext) {
      r.lbaLowHob = high & 0xff;
      r.lbaMidHob = (high >>> 8) & 0xff;
      r.lbaHighHob = (high >>> 16) & 0xff;
    } else {
      r.device = (r.device & ~DEVICE.head) | (high & DEVICE.head);
    }
  }

  fail(error: number, extraStatus = 0): void {
    this.r.error = error;
    this.r.status = (this.r.status & ~(STATUS.bsy | STATUS.drq)) | STATUS.drdy | STATUS.err | extraStatus;
  }

  abort(): void {
    this.fail(ERROR.abrt);
  }

  save(): TaskFileState {
    return { ...this.r };
  }

  restore(state: TaskFileState): void {
    Object.assign(this.r, state);
  }
}
