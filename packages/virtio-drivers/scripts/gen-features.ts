/** Writes FEATURES.gen.md and the tables of README.md from the feature tables of the drivers and the requirements in test/. */
import { withoutVitest, writeTables } from "../../../tools/virtio-tables.ts";
import { BALLOON_FEATURES } from "../src/balloon.ts";
import { BLK_FEATURES } from "../src/blk-spec.ts";
import { CONSOLE_FEATURES } from "../src/console-spec.ts";
import { RING_FEATURES } from "../src/features.ts";
import { GPU_FEATURES } from "../src/gpu.ts";
import { NET_FEATURES } from "../src/net.ts";
import { P9_FEATURES } from "../src/p9.ts";
import { VSOCK_FEATURES } from "../src/vsock.ts";

withoutVitest();
const { CHAPTERS, countMusts, DRIVER_REQUIREMENTS } = await import("../test/must-count.ts");

writeTables({
  folder: new URL("../", import.meta.url),
  script: "scripts/gen-features.ts",
  side: "driver",
  verb: "accepted",
  isUsed: (row) => row.isAccepted,
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
  requirements: DRIVER_REQUIREMENTS,
  chapters: CHAPTERS,
  countMusts,
});
