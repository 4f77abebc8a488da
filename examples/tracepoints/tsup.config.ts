import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { tracepoints: "src/tracepoints.ts" } });
