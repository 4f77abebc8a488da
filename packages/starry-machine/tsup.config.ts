import { packageConfig } from "../../tools/tsup.ts";

// Both write to dist at the same time, so neither may clean it: the build script does.
export default [
  packageConfig({ entry: { index: "src/index.ts", "node/index": "src/node/index.ts" }, clean: false }),
  // The command is one script with everything in it, for bin/starry.cjs to compile once and keep.
  packageConfig({
    entry: { "node/cli": "src/node/cli/main.ts", "node/engine": "src/node/cli/engine.ts" },
    format: ["cjs"],
    splitting: false,
    noExternal: [/./],
    minify: true,
    clean: false,
    esbuildOptions(options) {
      options.supported = { "dynamic-import": false };
      options.define = { ...options.define, "import.meta.resolve": "__resolve" };
      options.banner = {
        js: 'const __resolve = (name) => require("node:url").pathToFileURL(require.resolve(name)).href;',
      };
    },
  }),
];
