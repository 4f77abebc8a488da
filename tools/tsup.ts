/** One tsup configuration for every package: ESM JavaScript only; tsc emits the declarations. */
import { defineConfig, type Options } from "tsup";

export function packageConfig(
  options: Pick<Options, "entry" | "format" | "splitting" | "noExternal" | "minify" | "clean" | "esbuildOptions">,
): ReturnType<typeof defineConfig> {
  return defineConfig({
    format: ["esm"],
    dts: false,
    sourcemap: true,
    splitting: true,
    target: "es2022",
    clean: true,
    minifySyntax: true, // inlines numeric constants across files
    ...options,
  });
}
