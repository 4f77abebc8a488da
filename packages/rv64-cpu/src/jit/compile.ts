/** Makes modules of regions: each batch of entries becomes one, whose functions go into the table. */
import type { CompilerHost } from "../hart.ts";
import { REGION_FP_PARAMETERS } from "../interp/region-fp.ts";
import { I32, I64 } from "../isa/ir.ts";
import { FLOAT_SIGNATURES } from "../wasm/float.ts";
import { ModuleBuilder } from "../wasm/module.ts";
import type { Entry, EntryTable } from "./entries.ts";
import type { RegionImports, Runs } from "./page-lowering.ts";
import { RUNS_SET_BYTES, RUNS_SETS } from "../state.ts";
import { RegionLowering } from "./lowering.ts";
import { REGION_PARAMETERS } from "./operand-lowering.ts";
import type { Profile } from "./profile.ts";
import type { CompileQueue } from "./queue.ts";
import { END_CALL, realDelta } from "./blocks.ts";
import { callSiteOf, type CodeReader, findRegion, hasCalls, type Region } from "./region.ts";
import { REMEMBER_PARAMETERS } from "./runs.ts";
import { buildSupport, hasTailCalls, LEFT_PARAMETERS } from "./support.ts";

/** What a module's functions import from the interpreter's module, by name. */
const FROM_INTERPRETER = ["regionLoad", "regionStore", "pageRead", "pageWrite", "store", "regionFp", "lookup"];

interface Found {
  readonly entry: Entry;
  readonly region: Region;
  readonly pc: number;
}

export class RegionCompiler {
  readonly #host: CompilerHost;
  readonly #entries: EntryTable;
  readonly #queue: CompileQueue;
  readonly #profile: Profile;
  readonly #maxInstructions: number;
  readonly #u16: Uint16Array;
  #hasTailCalls = false;
  /** Built when something is compiled first: most programs end before that. Holds all that modules import, too. */
  #functions: Record<string, unknown> | null = null;
  /** Regions made so far, by which they know their {@link Runs}. */
  #owners = 0;
  modules = 0;
  regions = 0;
  instructions = 0;
  declined = 0;

  constructor(host: CompilerHost, entries: EntryTable, queue: CompileQueue, profile: Profile, maxInstructions: number) {
    this.#host = host;
    this.#entries = entries;
    this.#queue = queue;
    this.#profile = profile;
    this.#maxInstructions = maxInstructions;
    this.#u16 = new Uint16Array(host.ram.memory.buffer);
  }

  /**
   * Makes one module of the regions of these entries. Returns how many instructions they have.
   * @param instret the time, as retired instructions
   * @throws RangeError if the host has no memory for it
   */
  compile(batch: readonly Entry[], instret: number): number {
    this.#functions ??= this.#makeFunctions();
    const found = this.#findRegions(batch);
    if (found.length === 0) return 0;
    const { ram, table } = this.#host;
    const builder = new ModuleBuilder();
    const imports = this.#importFunctions(builder);
    builder.importMemory(ram.memory.buffer.byteLength / 65536);
    builder.importTable(table.length);
    const regionType = builder.type(REGION_PARAMETERS, [I32]);
    found.forEach(({ entry, region, pc }, n) => {
      // Callees first: their pages become pages that the region depends on.
      const slots = new Map<number, number>();
      for (const block of region.blocks)
        if (block.end === END_CALL)
          slots.set(realDelta(block.target), this.#calleeSlot(entry, region, pc, realDelta(block.target)));
      const lowering = new RegionLowering(
        {
          region,
          entry: entry.pointer,
          jumpCache: ram.jumpCacheOffset,
          runs: this.#nextRuns(),
          self: builder.nextIndex,
          notesCall: callSiteOf(region) !== undefined,
          checksPages: region.pages.size > 1,
          slotOf: (delta) => slots.get(delta) ?? -1,
          linkOf: (delta) => this.#linkSlot(entry, region, delta),
          siteOf: (delta) => this.#profile.siteFor(entry, region, delta),
        },
        imports,
        regionType,
      );
      lowering.emit();
      builder.addFunction(REGION_PARAMETERS, [I32], lowering.localTypes, lowering.code, `r${n}`);
    });
    const bytes = builder.build();
    const module = new WebAssembly.Module(bytes);
    const instance = new WebAssembly.Instance(module, { e: { ...this.#functions, memory: ram.memory, table } });
    this.modules++;
    const made = this.#entries.addModule(bytes.byteLength, instret);
    let instructions = 0;
    found.forEach(({ entry, region }, n) => {
      this.#entries.install(entry, region, made, instance.exports[`r${n}`]);
      this.regions++;
      instructions += region.instructions;
    });
    this.instructions += instructions;
    this.#profile.sweep();
    return instructions;
  }

  #nextRuns(): Runs {
    const owner = ++this.#owners;
    return { offset: this.#host.ram.runsOffset + (owner % RUNS_SETS) * RUNS_SET_BYTES, owner };
  }

  #makeFunctions(): Record<string, unknown> {
    const { exports, imports } = this.#host;
    const profile = this.#profile;
    this.#hasTailCalls = hasTailCalls();
    const { follow, chain, miss, left, remember } = buildSupport(this.#host, {
      hasTailCalls: this.#hasTailCalls,
      missSample: profile.missSample,
      onMiss: (site, distance) => profile.miss(site, distance),
      declineSample: profile.declineSample,
      onDeclines: (pointer) => profile.declinedOften(pointer),
    });
    const functions: Record<string, unknown> = {
      system: imports.system,
      follow,
      chain,
      miss,
      left,
      remember,
      validate: (pointer: number) => this.#entries.validate(pointer),
    };
    for (const name of FROM_INTERPRETER) functions[name] = exports[name];
    for (let n = 0; n < FLOAT_SIGNATURES.length; n++) functions[`fn${n}`] = exports[`fn${n}`];
    return functions;
  }

  #importFunctions(builder: ModuleBuilder): RegionImports {
    return {
      load: builder.importFunction("regionLoad", [I64, I32, I32], [I64, I32]),
      store: builder.importFunction("regionStore", [I64, I64, I32, I32], [I32]),
      pageRead: builder.importFunction("pageRead", [I64, I32, I32, I32], [I32, I32]),
      pageWrite: builder.importFunction("pageWrite", [I64, I32, I32, I32], [I32, I32]),
      storeResult: builder.importFunction("store", [I64, I32], [I32]),
      system: builder.importFunction("system", [I32], [I32]),
      fp: builder.importFunction("regionFp", REGION_FP_PARAMETERS, [I64, I32]),
      validate: builder.importFunction("validate", [I32], [I32]),
      lookup: builder.importFunction("lookup", [I64], [I32]),
      follow: builder.importFunction("follow", [I64, I32, I32], [I32]),
      chain: this.#hasTailCalls ? builder.importFunction("chain", REGION_PARAMETERS, [I32]) : -1,
      miss: builder.importFunction("miss", [I32, I32], []),
      left: builder.importFunction("left", LEFT_PARAMETERS, [I32]),
      remember: builder.importFunction("remember", REMEMBER_PARAMETERS, []),
      internal: FLOAT_SIGNATURES.map(({ count, type }, n) =>
        builder.importFunction(`fn${n}`, new Array<number>(count).fill(type), [type]),
      ),
    };
  }

  #findRegions(batch: readonly Entry[]): Found[] {
    const found: Found[] = [];
    for (const entry of batch) {
      entry.queued = false;
      entry.linked = !entry.released;
    }
    for (const entry of batch) {
      if (entry.released) continue;
      const { pc } = entry;
      const find = (): Region | undefined =>
        findRegion(this.#reader(entry, pc), entry.offset, this.#maxInstructions, entry.targets);
      let region = find();
      if (entry.copiesCallees && region !== undefined && hasCalls(region)) {
        entry.wide = false;
        entry.copiesCallees = false;
        entry.hasToCall = true;
        // Its code is as good as it gets.
        if (entry.compiled && entry.calls) continue;
        region = find();
      }
      if (region === undefined) {
        this.declined++;
        this.#queue.decline(entry);
        entry.linked = false;
      } else found.push({ entry, region, pc });
    }
    return found;
  }

  /** Reads code as seen from the address space in which `entry` is at `pc`. */
  #reader(entry: Entry, pc: number): CodeReader {
    const { mmu, ram, code } = this.#host;
    const page = pc - (((pc % 4096) + 4096) % 4096);
    return {
      frame: (delta) => {
        if (delta === 0) return entry.frame;
        const va = page + delta * 4096;
        return mmu.codeFrame(va | 0, Math.floor(va / 0x1_0000_0000) | 0);
      },
      half: (frame, offset) => this.#u16[(ram.offset + frame * 4096 + offset) >>> 1],
      wide: entry.wide,
      straddles: entry.straddles,
      strays: entry.strays,
      called: (frame, offset) => this.#entries.called(frame, offset),
      isEntry: (frame, offset) => {
        const other = entry.wide ? undefined : this.#entries.find(frame, offset);
        if (!other?.linked) return false;
        other.before.add(entry);
        return true;
      },
      edges: (frame, offset) => this.#profile.hotEdges(code.recordAt(frame, offset), entry.wide),
    };
  }

  /** The slot of the entry at distance `delta`, if there is one on a page that the region depends on already. */
  #linkSlot(entry: Entry, region: Region, delta: number): number {
    const at = entry.offset + delta;
    const page = Math.floor(at / 4096);
    const frame = region.pages.get(page);
    const other = frame === undefined ? undefined : this.#entries.find(frame, at - page * 4096);
    return other?.linked ? other.slot : -1;
  }

  /** The slot of the callee at distance `delta`, if its page is part of what the region depends on. */
  #calleeSlot(entry: Entry, region: Region, pc: number, delta: number): number {
    const at = entry.offset + delta;
    const page = Math.floor(at / 4096);
    let frame = region.pages.get(page);
    if (frame === undefined) {
      frame = this.#reader(entry, pc).frame(page);
      if (frame < 0) return -1;
      (region.pages as Map<number, number>).set(page, frame);
    }
    return this.#entries.make(frame, at - page * 4096)?.slot ?? -1;
  }
}
