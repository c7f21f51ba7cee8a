/**
 * What tells the cards of the family apart.
 * Source: 8254x SDM (317453) for the 82540EM and 82545EM; 82543GC Networking Silicon specification; identifiers of the PCI
 * ID repository and of Marvell's 88E1000 and 88E1011.
 */
export interface E1000Model {
  readonly deviceId: number;
  readonly revisionId: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  /** Second identifier register of the PHY; the first is 0141h. */
  readonly phyId: number;
  /** How a driver reaches the PHY: the MDI control register, or two pins of the device control register. */
  readonly mdio: 'register' | 'pins';
  /** BAR 2, EERD, absolute interrupt delays: what the 82544 added. */
  readonly hasIoBar: boolean;
}

export const E1000_MODELS = {
  '82540EM': {
    deviceId: 0x100e,
    revisionId: 2,
    subsystemVendorId: 0x8086,
    subsystemId: 0x001e,
    phyId: 0x0c20,
    mdio: 'register',
    hasIoBar: true,
  },
  '82543GC': {
    deviceId: 0x1004,
    revisionId: 2,
    subsystemVendorId: 0x8086,
    subsystemId: 0x1004,
    phyId: 0x0c50,
    mdio: 'pins',
    hasIoBar: false,
  },
  '82545EM': {
    deviceId: 0x100f,
    revisionId: 1,
    subsystemVendorId: 0x15ad,
    subsystemId: 0x0750,
    phyId: 0x0c20,
    mdio: 'register',
    hasIoBar: true,
  },
} as const satisfies Record<string, E1000Model>;
export type E1000ModelName = keyof typeof E1000_MODELS;
