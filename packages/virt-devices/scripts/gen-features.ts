/** Writes FEATURES.gen.md and the tables of README.md from the feature tables of the devices and the requirements in test/. */
import { withoutVitest, writeTables } from "../../../tools/virtio-tables.ts";
import { BALLOON_FEATURES } from "../src/virtio/balloon.ts";
import { BLK_FEATURES } from "../src/virtio/blk.ts";
import { CONSOLE_FEATURES } from "../src/virtio/console.ts";
import { RING_FEATURES } from "../src/virtio/features.ts";
import { GPU_FEATURES } from "../src/virtio/gpu.ts";
import { NET_FEATURES } from "../src/virtio/net.ts";
import { P9_FEATURES } from "../src/virtio/p9/device.ts";
import { VSOCK_FEATURES } from "../src/virtio/vsock.ts";

withoutVitest();
const { CHAPTERS, countMusts, DEVICE_REQUIREMENTS } = await import("../test/must-count.ts");

writeTables({
  folder: new URL("../", import.meta.url),
  script: "scripts/gen-features.ts",
  side: "device",
  verb: "offered",
  isUsed: (row) => row.isOffered,
  devices: [
    { name: "every device", features: RING_FEATURES },
    { name: "network", features: NET_FEATURES },
    { name: "block", features: BLK_FEATURES },
    { name: "console", features: CONSOLE_FEATURES },
    { name: "entropy", features: [] },
    { name: "balloon", features: BALLOON_FEATURES },
    { name: "9P", features: P9_FEATURES },
    { name: "GPU", features: GPU_FEATURES },
    { name: "input", features: [] },
    { name: "socket", features: VSOCK_FEATURES },
  ],
  requirements: DEVICE_REQUIREMENTS,
  chapters: CHAPTERS,
  countMusts,
});
