import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({
  entry: {
    index: "src/index.ts",
    "vfs/index": "src/vfs/index.ts",
    "promises/index": "src/promises/index.ts",
    "node/index": "src/node/index.ts",
    "check/index": "src/check/index.ts",
    "resize/index": "src/resize/index.ts",
    "tune/index": "src/tune/index.ts",
  },
});
