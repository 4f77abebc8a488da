import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({
  entry: { index: "src/index.ts", "tmpfs/index": "src/tmpfs/index.ts", "pseudofs/index": "src/pseudofs/index.ts" },
});
