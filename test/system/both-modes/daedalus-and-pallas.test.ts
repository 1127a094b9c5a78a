import { afterAll, beforeAll, test } from 'vitest'
import {
  comeByTheWrongDoor,
  deleteAndRevive,
  disableOwner,
  rotateKeys,
  rotateMissing,
  rotateToken,
  seedKey,
} from './daedalus-and-pallas/credentials.ts'
import {
  deleteEverything,
  deleteUsers,
  findFilesUntouched,
  findGraphEmpty,
  findHealthGood,
  findNoSecretWrittenDown,
  findNothingLeft,
  readAuditLog,
  readMetrics,
} from './daedalus-and-pallas/ending.ts'
import { handOver, share } from './daedalus-and-pallas/sharing.ts'
import { Story } from './daedalus-and-pallas/story.ts'
import { raceForIds, tryEverything } from './daedalus-and-pallas/stranger.ts'
import { makeWorkspaces, takeFilesIn, takeInAnEdit } from './daedalus-and-pallas/taking-in.ts'
import { attachAndDetach, attachWhatIsNotTheirs, createTeam } from './daedalus-and-pallas/team.ts'

let story: Story
beforeAll(async () => {
  story = await Story.begin()
})
afterAll(() => story?.end())

const CHAPTERS: [string, (story: Story) => Promise<void>][] = [
  ['without a signing key there is no team; an operator seeds one', seedKey],
  ['workspaces are made once, however often they are asked for', makeWorkspaces],
  ['files go in; one that fails says why, and is retried when it has been put right', takeFilesIn],
  ['a new version of a file is the same item', takeInAnEdit],
  ['a team is made once, and its token is shown once', createTeam],
  ['a team reads what is attached, from the next call on, and no more', attachAndDetach],
  ["what is another's, or not there yet, is attached alike and counts for nothing", attachWhatIsNotTheirs],
  ['a rotated token is dead on the next request', rotateToken],
  ['a team that is missing is made by a rotation', rotateMissing],
  ['a deleted team is refused, comes back by staff alone, and with a new token', deleteAndRevive],
  ['keys overlap, and one that is retired takes its tokens along', rotateKeys],
  ["a disabled owner's team is refused until the owner is back", disableOwner],
  ['a team is nobody on REST, and nobody is told of their health alone', comeByTheWrongDoor],
  ['a second user tries everything, and meets what does not exist', tryEverything],
  ['of two who ask for one id at the same moment one gets it', raceForIds],
  ['a library is shared with a second user, and then no more', share],
  ['a library that is handed over is read by the teams of who has it', handOver],
  ['all is deleted while jobs are queued', deleteEverything],
  ['nothing is left', findNothingLeft],
  ["Daedalus's files are as Daedalus left them", findFilesUntouched],
  ['no token was written down', findNoSecretWrittenDown],
  ['the audit log tells who did it', readAuditLog],
  ['who is deleted leaves nothing either', deleteUsers],
  ['metrics tell what happened', readMetrics],
  ['Pallas, who asked all the time, had no reason to call anybody', findHealthGood],
  ['the graph is empty', findGraphEmpty],
]

/** The first chapter that went wrong: those after it have nothing to go on from. */
let broken: string | undefined

test.each(CHAPTERS)(
  '%s',
  async (name, chapter) => {
    if (broken) throw new Error(`not told, because of: ${broken}`)
    broken = name
    await chapter(story)
    broken = undefined
  },
  120_000,
)
