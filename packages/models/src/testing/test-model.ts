/** Folder of the real model, downloaded once per machine. Rejects with the reason where none can be had. */
export async function testModelDir(): Promise<string> {
  throw new Error('not implemented')
}
