import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { loopback: "src/loopback.ts" } });
