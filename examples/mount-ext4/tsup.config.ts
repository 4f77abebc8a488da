import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ entry: { "mount-ext4": "src/mount-ext4.ts" } });
