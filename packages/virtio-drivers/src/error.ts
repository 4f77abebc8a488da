/**
 * Errors of the drivers, as values. Every fallible function returns a number ≥ 0 or an object on success and one of
 * these negative numbers on failure; nothing a device does can make a driver throw. The numbers lie below the range
 * of negated errnos (-1..-4095), so the two cannot be mistaken for each other.
 *
 * Names follow the Rust crate's `Error`; the ones it lacks are marked.
 */

/** There are not enough free descriptors; complete a request first. */
export const ERR_QUEUE_FULL = -10001;
/** The device has not finished the request yet. */
export const ERR_NOT_READY = -10002;
/** The token does not belong to a finished request, or not to one of this kind. */
export const ERR_WRONG_TOKEN = -10003;
/** The queue is already in use by another driver. */
export const ERR_ALREADY_USED = -10004;
/** An argument is out of range: misaligned length, beyond the capacity, too large for one request. */
export const ERR_INVALID_PARAM = -10005;
/** No contiguous pages for DMA, or a buffer cannot be shared with the device. */
export const ERR_DMA = -10006;
/** The device reported an error for the request. */
export const ERR_IO = -10007;
/** The device does not support the request, or lacks something the driver needs. */
export const ERR_UNSUPPORTED = -10008;
/** The device's configuration space is smaller than the driver needs. */
export const ERR_CONFIG_SPACE_TOO_SMALL = -10009;
/** The device has no configuration space. */
export const ERR_CONFIG_SPACE_MISSING = -10010;
/** (ours) There is no virtio device at this place: wrong magic, unknown version, or device id 0. */
export const ERR_NO_DEVICE = -10011;
/** (ours) The device refused the feature set: FEATURES_OK did not stay set. */
export const ERR_FEATURES_REFUSED = -10012;
/** (ours) The device broke the protocol or asked for a reset; it was reset and is of no use until set up again. */
export const ERR_DEVICE_FAULT = -10013;
/** (ours) The device did not answer within the bound; it was reset as for ERR_DEVICE_FAULT. */
export const ERR_TIMED_OUT = -10014;
/** (ours) A write to a device that offers VIRTIO_BLK_F_RO. */
export const ERR_READ_ONLY = -10015;
/** (ours) A queue reset took the request back before the device answered it. */
export const ERR_CANCELLED = -10016;

export type VirtioError =
  | typeof ERR_QUEUE_FULL
  | typeof ERR_NOT_READY
  | typeof ERR_WRONG_TOKEN
  | typeof ERR_ALREADY_USED
  | typeof ERR_INVALID_PARAM
  | typeof ERR_DMA
  | typeof ERR_IO
  | typeof ERR_UNSUPPORTED
  | typeof ERR_CONFIG_SPACE_TOO_SMALL
  | typeof ERR_CONFIG_SPACE_MISSING
  | typeof ERR_NO_DEVICE
  | typeof ERR_FEATURES_REFUSED
  | typeof ERR_DEVICE_FAULT
  | typeof ERR_TIMED_OUT
  | typeof ERR_READ_ONLY
  | typeof ERR_CANCELLED;

const FIRST = -ERR_QUEUE_FULL;

/** Name, sentence and Linux errno of each error, in the order of their numbers. */
const TABLE: readonly (readonly [name: string, sentence: string, errno: number])[] = [
  ["QueueFull", "no free descriptors", 16 /* EBUSY */],
  ["NotReady", "the device has not finished the request", 11 /* EAGAIN */],
  ["WrongToken", "the token does not belong to a finished request", 22 /* EINVAL */],
  ["AlreadyUsed", "the queue is already in use", 16 /* EBUSY */],
  ["InvalidParam", "an argument is out of range", 22 /* EINVAL */],
  ["DmaError", "no contiguous memory for DMA", 12 /* ENOMEM */],
  ["IoError", "the device reported an I/O error", 5 /* EIO */],
  ["Unsupported", "the device does not support the request", 95 /* EOPNOTSUPP */],
  ["ConfigSpaceTooSmall", "the configuration space is too small", 5 /* EIO */],
  ["ConfigSpaceMissing", "the device has no configuration space", 5 /* EIO */],
  ["NoDevice", "there is no virtio device here", 19 /* ENODEV */],
  ["FeaturesRefused", "the device refused the driver's features", 19 /* ENODEV */],
  ["DeviceFault", "the device broke the protocol or needs a reset", 5 /* EIO */],
  ["TimedOut", "the device did not answer in time", 110 /* ETIMEDOUT */],
  ["ReadOnly", "the device is read-only", 30 /* EROFS */],
  ["Cancelled", "a queue reset took the request back", 125 /* ECANCELED */],
];

/** Is this result of a driver function an error? */
export function isVirtioError(result: unknown): result is VirtioError {
  return typeof result === "number" && result < 0;
}

/** The value of a result that is no error; throws an Error that describes it otherwise. For programs, not for drivers. */
export function unwrap<T>(result: T): Exclude<T, VirtioError> {
  if (isVirtioError(result)) throw new Error(describeVirtioError(result));
  return result as Exclude<T, VirtioError>;
}

/** "IoError: the device reported an I/O error". */
export function describeVirtioError(error: number): string {
  const row = TABLE[-error - FIRST];
  return row === undefined ? `error ${error}` : `${row[0]}: ${row[1]}`;
}

/** The negated Linux errno that a kernel reports for `result`; results ≥ 0 pass through. */
export function toErrno(result: number): number {
  if (result >= 0) return result;
  const row = TABLE[-result - FIRST];
  return row === undefined ? -5 : -row[2];
}
