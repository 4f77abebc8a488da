import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { "run-elf": "src/run-elf.ts" } });
