import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({
  entry: {
    index: "src/index.ts",
    "node/index": "src/node/index.ts",
    "browser/index": "src/browser/index.ts",
    "promises/index": "src/promises/index.ts",
  },
});
