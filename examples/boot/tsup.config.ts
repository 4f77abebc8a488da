import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { boot: "src/boot.ts" } });
