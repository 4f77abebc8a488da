import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { "custom-kernel": "src/custom-kernel.ts" } });
