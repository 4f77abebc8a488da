/** Numbers of the virtio specification, version 1.2, as the driver side uses them. */

// §2.1 Device Status Field
export const STATUS_ACKNOWLEDGE = 1;
export const STATUS_DRIVER = 2;
export const STATUS_DRIVER_OK = 4;
export const STATUS_FEATURES_OK = 8;
export const STATUS_DEVICE_NEEDS_RESET = 64;
export const STATUS_FAILED = 128;

// §5 Device Types
export const DEVICE_TYPE_NETWORK = 1;
export const DEVICE_TYPE_BLOCK = 2;
export const DEVICE_TYPE_CONSOLE = 3;
export const DEVICE_TYPE_ENTROPY = 4;
export const DEVICE_TYPE_BALLOON = 5;
export const DEVICE_TYPE_9P = 9;
export const DEVICE_TYPE_GPU = 16;
export const DEVICE_TYPE_INPUT = 18;
export const DEVICE_TYPE_VSOCK = 19;

// §6 Reserved Feature Bits; HI constants are in the second 32-bit word
export const F_INDIRECT_DESC_LO: number = 1 << 28;
export const F_EVENT_IDX_LO: number = 1 << 29;
export const F_VERSION_1_HI: number = 1 << 0; // bit 32
export const F_RING_PACKED_HI: number = 1 << 2; // bit 34
export const F_IN_ORDER_HI: number = 1 << 3; // bit 35
export const F_NOTIFICATION_DATA_HI: number = 1 << 6; // bit 38
export const F_RING_RESET_HI: number = 1 << 8; // bit 40

// §2.7.5 The Virtqueue Descriptor Table
export const DESC_SIZE = 16;
export const DESC_ADDR_LO = 0;
export const DESC_ADDR_HI = 4;
export const DESC_LEN = 8;
export const DESC_FLAGS = 12;
export const DESC_NEXT = 14;
export const DESC_F_NEXT = 1;
export const DESC_F_WRITE = 2;
export const DESC_F_INDIRECT = 4;

// §2.7.6 and §2.7.8, the two rings
export const RING_FLAGS = 0;
export const RING_IDX = 2;
export const RING_ENTRIES = 4;
export const AVAIL_F_NO_INTERRUPT = 1;
export const USED_F_NO_NOTIFY = 1;
export const USED_ELEM_SIZE = 8;

// §2.8 Packed virtqueues: another layout of the descriptor, with the ring's state in its flags
export const PACKED_LEN = 8;
export const PACKED_ID = 12;
export const PACKED_FLAGS = 14;
export const PACKED_F_AVAIL: number = 1 << 7;
export const PACKED_F_USED: number = 1 << 15;
// §2.8.14 struct pvirtq_event_suppress
export const EVENT_DESC = 0; // le16, offset in the ring; bit 15 is the wrap counter
export const EVENT_FLAGS = 2; // le16
export const EVENT_SIZE = 4;
export const EVENT_FLAGS_ENABLE = 0;
export const EVENT_FLAGS_DISABLE = 1;
export const EVENT_FLAGS_DESC = 2;

// §4.2.2 MMIO Device Register Layout
export const MMIO_MAGIC_VALUE = 0x000;
export const MMIO_VERSION = 0x004;
export const MMIO_DEVICE_ID = 0x008;
export const MMIO_VENDOR_ID = 0x00c;
export const MMIO_DEVICE_FEATURES = 0x010;
export const MMIO_DEVICE_FEATURES_SEL = 0x014;
export const MMIO_DRIVER_FEATURES = 0x020;
export const MMIO_DRIVER_FEATURES_SEL = 0x024;
export const MMIO_QUEUE_SEL = 0x030;
export const MMIO_QUEUE_SIZE_MAX = 0x034;
export const MMIO_QUEUE_SIZE = 0x038;
export const MMIO_QUEUE_READY = 0x044;
export const MMIO_QUEUE_NOTIFY = 0x050;
export const MMIO_INTERRUPT_STATUS = 0x060;
export const MMIO_INTERRUPT_ACK = 0x064;
export const MMIO_STATUS = 0x070;
export const MMIO_QUEUE_DESC_LOW = 0x080;
export const MMIO_QUEUE_DESC_HIGH = 0x084;
export const MMIO_QUEUE_DRIVER_LOW = 0x090;
export const MMIO_QUEUE_DRIVER_HIGH = 0x094;
export const MMIO_QUEUE_DEVICE_LOW = 0x0a0;
export const MMIO_QUEUE_DEVICE_HIGH = 0x0a4;
export const MMIO_QUEUE_RESET = 0x0c0;
export const MMIO_CONFIG_GENERATION = 0x0fc;
export const MMIO_CONFIG = 0x100;
export const MMIO_MAGIC = 0x7472_6976; // "virt"

// §4.2.4 Legacy interface (version 1)
export const MMIO_LEGACY_GUEST_PAGE_SIZE = 0x028;
export const MMIO_LEGACY_QUEUE_ALIGN = 0x03c;
export const MMIO_LEGACY_QUEUE_PFN = 0x040;

export const INTERRUPT_USED_BUFFER = 1;
export const INTERRUPT_CONFIG_CHANGE = 2;
