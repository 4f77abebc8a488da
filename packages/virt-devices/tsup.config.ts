import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { index: "src/index.ts", "node/index": "src/node/index.ts" } });
