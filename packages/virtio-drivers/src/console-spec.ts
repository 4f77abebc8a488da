/** Numbers of the console device, virtio 1.2 §5.3, that its driver needs. */
import { accepted, type Feature } from "./features.ts";

// §5.3.3 Feature bits
export const CONSOLE_F_SIZE: number = 1 << 0;
export const CONSOLE_F_MULTIPORT: number = 1 << 1;
export const CONSOLE_F_EMERG_WRITE: number = 1 << 2;

export const CONSOLE_FEATURES: readonly Feature[] = [
  accepted(0, "CONSOLE_F_SIZE", "`size`"),
  accepted(1, "CONSOLE_F_MULTIPORT", "`ports`, each with its name and its own queues"),
  accepted(2, "CONSOLE_F_EMERG_WRITE", "`emergencyWrite`"),
];

// §5.3.4 struct virtio_console_config
export const CONSOLE_CONFIG_COLS = 0; // le16
export const CONSOLE_CONFIG_ROWS = 2; // le16
export const CONSOLE_CONFIG_MAX_NR_PORTS = 4; // le32
export const CONSOLE_CONFIG_EMERG_WR = 8; // le32

// §5.3.2 Virtqueues
export const CONTROL_RECEIVE_QUEUE = 2;
export const CONTROL_TRANSMIT_QUEUE = 3;
/** Receive queue of a port; its transmit queue is the next one. */
export function receiveQueueOf(port: number): number {
  return port === 0 ? 0 : 2 + 2 * port;
}

// §5.3.6.2 struct virtio_console_control { le32 id; le16 event; le16 value }
export const CONTROL_SIZE = 8;
export const CONTROL_DEVICE_READY = 0;
export const CONTROL_DEVICE_ADD = 1;
export const CONTROL_DEVICE_REMOVE = 2;
export const CONTROL_PORT_READY = 3;
export const CONTROL_CONSOLE_PORT = 4;
export const CONTROL_RESIZE = 5;
export const CONTROL_PORT_OPEN = 6;
export const CONTROL_PORT_NAME = 7;
