import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({
  entry: {
    index: "src/index.ts",
    "isa/index": "src/isa/index.ts",
    "asm/index": "src/asm/index.ts",
    "jit/index": "src/jit/index.ts",
  },
});
