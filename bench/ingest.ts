import { type Bench, say } from './bench.ts'
import { Corpus } from './corpus.ts'
import { cpuByRole } from './processes.ts'
import { percent, type Report, sum } from './report.ts'
import { ingest, passagesOf, startSystem } from './system.ts'

/**
 * Passages a second through the whole product beside the bare model on the very passages, in turns, so that
 * whatever else the machine does meets both.
 */
export async function measureIngest(bench: Bench): Promise<Report> {
  const { ingestRounds, documents, wordsADocument } = bench.sizes
  const model = await bench.model()
  await using system = await startSystem(bench.newFolder())
  const corpus = new Corpus(1)
  const workspace = await system.createWorkspace('ingest')
  const files = (count: number) => Array.from({ length: count }, () => corpus.document(wordsADocument))
  await ingest(system, workspace.workspace_id, files(4))
  await model.embedPassages(Array.from({ length: 8 }, () => 'The first questions are slow.'))

  const whole: number[] = []
  const bare: number[] = []
  let passages = 0
  const cpu = { main: 0, model: 0, parser: 0, bare: 0 }
  for (let round = 1; round <= ingestRounds; round++) {
    say(`ingest, round ${round} of ${ingestRounds}`)
    const before = await cpuByRole(system.process.pid!)
    const { jobs, took } = await ingest(system, workspace.workspace_id, files(documents))
    const after = await cpuByRole(system.process.pid!)
    for (const role of ['main', 'model', 'parser'] as const) cpu[role] += after[role] - before[role]
    whole.push(took)

    const texts = await passagesOf(
      system,
      jobs.map((job) => job.item_uid),
    )
    passages += texts.length
    const cpuBefore = (await cpuByRole(process.pid)).model
    const started = performance.now()
    await model.embedPassages(texts)
    bare.push(performance.now() - started)
    cpu.bare += (await cpuByRole(process.pid)).model - cpuBefore
  }

  const rate = (times: number[]) => passages / (sum(times) / 1000)
  const share = rate(whole) / rate(bare)
  const shareOfCpu = cpu.bare / (cpu.model + cpu.main + cpu.parser)
  const perPassage = (seconds: number) => `${((seconds / passages) * 1000).toFixed(1)} ms`
  return {
    title: 'Ingest beside the bare model',
    about: `${documents * ingestRounds} documents (Markdown, HTML, text and PDF in equal parts, some ${wordsADocument} words each) uploaded over REST to a warm process, from the first upload to the end of the last job, in ${ingestRounds} rounds; after each round the bare model embeds the passages of that round, with as many processes and nothing around it. ${passages} passages in all.`,
    columns: ['', 'passages/s', 'processor time a passage: model', 'main process', 'parsers'],
    rows: [
      [
        'whole ingest',
        rate(whole).toFixed(1),
        perPassage(cpu.model),
        perPassage(cpu.main),
        perPassage(cpu.parser),
      ],
      ['bare model', rate(bare).toFixed(1), perPassage(cpu.bare), '', ''],
      ['**share** (aim: 85 % or more)', `**${percent(share)}**`, percent(shareOfCpu), '', ''],
    ],
    notes: [
      `Share round by round: ${whole.map((took, round) => percent(bare[round]! / took)).join(', ')}. The share of processor time, the bare model's in that of the whole, is what a machine whose processors are all taken by the model can reach; other load hardly moves it.`,
    ],
    figures: { passages, whole_per_s: rate(whole), bare_per_s: rate(bare), share, share_of_cpu: shareOfCpu },
  }
}
