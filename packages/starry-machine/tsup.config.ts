import { packageConfig } from "../../tools/tsup.ts";

// Both write to dist at the same time, so neither may clean it: the build script does.
export default [
  packageConfig({ entry: { index: "src/index.ts", "node/index": "src/node/index.ts" }, clean: false }),
  // The command is one file with everything in it: a start that opens one file instead of forty is 100 ms faster.
  packageConfig({ entry: { "node/cli": "src/node/cli/main.ts" }, noExternal: [/./], minify: true, clean: false }),
];
