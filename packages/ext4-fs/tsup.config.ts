import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({
  entry: {
    index: "src/index.ts",
    "vfs/index": "src/vfs/index.ts",
    "promises/index": "src/promises/index.ts",
    "check/index": "src/check/index.ts",
  },
});
