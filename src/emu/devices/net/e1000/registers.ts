/** Registers of the 8254x family: byte offsets in BAR 0, and bits. Source: 8254x SDM (317453), chapter 13. */

export const REG = {
  ctrl: 0x0000,
  status: 0x0008,
  eecd: 0x0010,
  eerd: 0x0014,
  ctrlExt: 0x0018,
  mdic: 0x0020,
  fcal: 0x0028,
  fcah: 0x002c,
  fct: 0x0030,
  vet: 0x0038,
  icr: 0x00c0,
  itr: 0x00c4,
  ics: 0x00c8,
  ims: 0x00d0,
  imc: 0x00d8,
  rctl: 0x0100,
  fcttv: 0x0170,
  txcw: 0x0178,
  rxcw: 0x0180,
  tctl: 0x0400,
  tipg: 0x0410,
  ait: 0x0458,
  ledctl: 0x0e00,
  pba: 0x1000,
  fcrtl: 0x2160,
  fcrth: 0x2168,
  rdfh: 0x2410,
  rdfpc: 0x2430,
  rdbal: 0x2800,
  rdbah: 0x2804,
  rdlen: 0x2808,
  rdh: 0x2810,
  rdt: 0x2818,
  rdtr: 0x2820,
  rxdctl: 0x2828,
  radv: 0x282c,
  rsrpd: 0x2c00,
  tdfh: 0x3410,
  tdfpc: 0x3430,
  tdbal: 0x3800,
  tdbah: 0x3804,
  tdlen: 0x3808,
  tdh: 0x3810,
  tdt: 0x3818,
  tidv: 0x3820,
  txdctl: 0x3828,
  tadv: 0x382c,
  tspmt: 0x3830,
  statistics: 0x4000,
  statisticsEnd: 0x4100,
  rxcsum: 0x5000,
  mta: 0x5200,
  ral0: 0x5400,
  vfta: 0x5600,
  wuc: 0x5800,
  wufc: 0x5808,
  wus: 0x5810,
  manc: 0x5820,
  ipav: 0x5838,
  ip4at: 0x5840,
  ip6at: 0x5880,
  wupl: 0x5900,
  wupm: 0x5a00,
  fflt: 0x5f00,
} as const;
/** The registers above end here; filter tables and packet buffer memory behind it are not modelled. */
export const REGISTER_BYTES = 0x6000;
export const MTA_ENTRIES = 128;
export const RECEIVE_ADDRESSES = 16;

export const CTRL = {
  fullDuplex: 1 << 0,
  linkReset: 1 << 3,
  setLinkUp: 1 << 6,
  speedShift: 8,
  forceSpeed: 1 << 11,
  forceDuplex: 1 << 12,
  /** SWDPIN2 and SWDPIN3: MDIO and MDC of the 82543. */
  mdio: 1 << 20,
  mdc: 1 << 21,
  mdioOutput: 1 << 24,
  mdcOutput: 1 << 25,
  reset: 1 << 26,
  vlanMode: 1 << 30,
  phyReset: 1 << 31,
} as const;

export const STATUS = { fullDuplex: 1 << 0, linkUp: 1 << 1, speedShift: 6, autoSpeedShift: 8 } as const;

export const CTRL_EXT = {
  /** Software definable pin 4: PHY reset of the 82543, active low. */
  pin4: 1 << 4,
  pin4Output: 1 << 8,
  eepromReset: 1 << 13,
} as const;

export const EECD = {
  clock: 1 << 0,
  select: 1 << 1,
  dataIn: 1 << 2,
  dataOut: 1 << 3,
  request: 1 << 6,
  grant: 1 << 7,
  present: 1 << 8,
} as const;

export const ICR = {
  transmitWrittenBack: 1 << 0,
  transmitQueueEmpty: 1 << 1,
  linkChange: 1 << 2,
  receiveMinimum: 1 << 4,
  receiverOverrun: 1 << 6,
  receiveTimer: 1 << 7,
  mdioComplete: 1 << 9,
} as const;
export const ICR_BITS = 0x0001_ffff;

export const RCTL = {
  enable: 1 << 1,
  storeBad: 1 << 2,
  unicastPromiscuous: 1 << 3,
  multicastPromiscuous: 1 << 4,
  longPackets: 1 << 5,
  loopbackMask: 3 << 6,
  thresholdShift: 8,
  multicastShift: 12,
  broadcast: 1 << 15,
  sizeShift: 16,
  vlanFilter: 1 << 18,
  sizeExtension: 1 << 25,
  stripCrc: 1 << 26,
} as const;

export const TCTL = { enable: 1 << 1, padShort: 1 << 3 } as const;
export const RXCSUM = { ip: 1 << 8, transport: 1 << 9, ipv6: 1 << 10 } as const;
export const RAH_VALID = 0x8000_0000;
/** TIDV and RDTR: expire at once. */
export const FLUSH_PARTIAL = 0x8000_0000;
