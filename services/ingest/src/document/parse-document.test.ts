import { deflateRawSync } from 'node:zlib'
import iconv from 'iconv-lite'
import { describe, expect, it } from 'vitest'
import { buildPdf, textContent } from '../../test/build-pdf.ts'
import { cleanText, joinWrappedLines } from './clean-text.ts'
import { renderDocument } from './document.ts'
import { parseDocument } from './parse-document.ts'
import { describePages } from './pdf.ts'

async function parse(
  content: string | Uint8Array,
  fileName: string,
  rest: { declaredType?: string; maxPages?: number; avoidNative?: boolean } = {},
) {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  const { document } = await parseDocument(bytes, { fileName, maxInputBytes: 1e9, maxPages: 1000, ...rest })
  return document
}

describe('cleaning', () => {
  it.each([
    ['control characters', 'a\0b\x07c\x9fd\te\n', 'abcd\te\n'],
    ['line ends', 'a\r\nb\rc\u0085d\u2028e\ff', 'a\nb\nc\nd\ne\nf'],
    ['bidi overrides and hidden tags', 'safe\u202egpj.exe\u2066x\u{e0041}', 'safegpj.exex'],
    ['lone surrogates', 'a\ud800b', 'a\ufffdb'],
    ['ligatures', 'eﬀect oﬃce ﬁne', 'effect office fine'],
    ['decomposed letters', 'Cafe\u0301', 'Café'],
    ['odd blanks and soft hyphens', 'a\u00a0b\u2009c\u3000d so\u00adft', 'a b c d soft'],
    ['Arabic presentation forms', '\ufefb', 'لا'],
  ])('mends %s', (_, given, wanted) => expect(cleanText(given)).toBe(wanted))

  it('keeps emoji sequences and bounds the marks on a letter', () => {
    expect(cleanText('👨‍👩‍👧')).toBe('👨‍👩‍👧')
    expect(cleanText(`e${'\u0301'.repeat(20_000)}!`).length).toBeLessThan(40)
  })

  it('makes words whole that were broken at a line end', () => {
    expect(joinWrappedLines(['The grey he-', 'ron of Stoke-', 'Mandeville', '日本', '語'])).toBe(
      'The grey heron of Stoke- Mandeville 日本語',
    )
  })
})

describe('the type', () => {
  const docx = Buffer.concat([Buffer.from('504b0304', 'hex'), deflateRawSync('x')])
  it.each([
    ['PNG', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'a.md', /image\/png/],
    ['zip', docx, 'a.txt', /zip/],
    [
      'unknown binary',
      Buffer.from(Array.from({ length: 500 }, (_, index) => index % 32)),
      'a.txt',
      /binary data/,
    ],
  ])('%s is refused whatever its name says', async (_, bytes, name, message) => {
    const refused = parse(bytes, name)
    await expect(refused).rejects.toMatchObject({ code: 'unsupported_format', permanent: true })
    await expect(refused).rejects.toThrow(message)
    await expect(refused).rejects.toThrow(/PDF, HTML, Markdown and plain text/)
  })

  it('of an empty or too large file is not asked', async () => {
    await expect(parse('', 'a.md')).rejects.toMatchObject({ code: 'empty_file' })
    await expect(
      parseDocument(Buffer.alloc(2048), { maxInputBytes: 1024, maxPages: 1 }),
    ).rejects.toMatchObject({ code: 'file_too_large' })
  })

  it.each([
    ['<!DOCTYPE html><h1>A</h1>', 'a', undefined, 'text/html'],
    ['<!-- c --><html><p>A', 'a.txt', undefined, 'text/html'],
    ['# A', 'a.MD', undefined, 'text/markdown'],
    ['# A', 'upload', 'text/markdown; charset=utf-8', 'text/markdown'],
    ['<p>inside</p> markdown', 'a.md', 'text/html', 'text/markdown'],
    ['Plain', 'a', 'application/pdf', 'text/plain'],
  ])('%j named %s is found', async (content, fileName, declaredType, wanted) => {
    const { fileType } = await parseDocument(Buffer.from(content), {
      fileName,
      declaredType,
      maxInputBytes: 1e6,
      maxPages: 1,
    })
    expect(fileType).toBe(wanted)
  })

  it.each<[string, string | Buffer]>([
    ['QuickTime', 'The free lunch of the theorem has a price.'],
    ['QuickTime', '# a free-flight investigation of ablation'],
    ['QuickTime', 'A wide road leads to it.'],
    ['BMP', 'BMW builds cars.'],
    ['BMP, longer than what is looked at', 'BMW 在慕尼黑生产汽车。'.repeat(9_000)],
    ['BMP, in Latin-1', Buffer.from('BM à Noël, où était-elle ?', 'latin1')],
    ['MP3', 'ID3 is an algorithm by Quinlan.'],
    ['EXE', 'MZ are the initials of Mark Zbikowski.'],
    ['GIF', 'GIF is a format of pictures.'],
  ])('text may begin like %s', async (_, content) => {
    const options = { fileName: 'a.txt', maxInputBytes: 1e6, maxPages: 1 }
    expect((await parseDocument(Buffer.from(content), options)).fileType).toBe('text/plain')
  })

  it.each([
    ['RTF', '{\\rtf1 Hello}', /RTF/],
    ['PostScript', '%!PS-Adobe-3.0\nshowpage', /postscript/],
  ])('%s is refused, though it is written in letters', async (_, content, message) => {
    await expect(parse(content, 'a.txt')).rejects.toThrow(message)
  })

  it('warns when a file has no text', async () => {
    expect((await parse(' \n\n', 'a.md')).warnings).toEqual(['The file has no text.'])
  })
})

describe('Markdown', () => {
  it('gives headings, lists with levels, code, tables, quotations and images', async () => {
    const document = await parse(
      [
        '# Guide [link](http://x.test)',
        'Some *text* with `code` and\nsoftly broken.',
        '1. First\n   - nested\n     ```sh\n     npm i\n     ```\n2. Second',
        '```ts\nconst a = 1\n```',
        '| A | B |\n|---|---|\n| 1 | **2** |',
        '> Quoted\n> text',
        '![A heron](heron.png)',
        '<div>Some <b>HTML</b><script>alert(1)</script></div>',
      ].join('\n\n'),
      'a.md',
    )
    expect(document.title).toBe('Guide link')
    expect(document.blocks).toEqual([
      { type: 'heading', level: 1, text: 'Guide link' },
      { type: 'paragraph', text: 'Some text with code and softly broken.' },
      {
        type: 'list',
        ordered: true,
        items: [
          { text: 'First', level: 0 },
          { text: 'nested\nnpm i', level: 1 },
          { text: 'Second', level: 0 },
        ],
      },
      { type: 'code', language: 'ts', text: 'const a = 1' },
      { type: 'table', header: [['A', 'B']], rows: [['1', '2']] },
      { type: 'quotation', text: 'Quoted text' },
      { type: 'image', alt: 'A heron' },
      { type: 'paragraph', text: 'Some HTML' },
    ])
  })

  it.each([
    [
      'YAML',
      '---\ntitle: "Herons: a life"\nauthors:\n  - Ada\n  - Bo\ndate: 2024-05-01\nlang: de-AT\n---\n# Other\n',
    ],
    [
      'TOML',
      '+++\ntitle = "Herons: a life"\nauthors = ["Ada", "Bo"]\ndate = 2024-05-01\nlanguage = "de"\n+++\n# Other\n',
    ],
  ])('takes metadata from front matter in %s', async (_, content) => {
    const document = await parse(content, 'a.md')
    expect(document).toMatchObject({
      title: 'Herons: a life',
      authors: ['Ada', 'Bo'],
      date: '2024-05-01',
      language: 'de',
    })
    expect(document.blocks).toEqual([{ type: 'heading', level: 1, text: 'Other' }])
  })

  it.each([
    ['quotations', '>'.repeat(20_000)],
    ['brackets', '['.repeat(50_000)],
    ['emphasis', '*a '.repeat(50_000)],
    ['lists', Array.from({ length: 500 }, (_, level) => `${'  '.repeat(level)}- x`).join('\n')],
  ])('bounds nested %s', async (_, content) => {
    const started = performance.now()
    await parse(`${content} heron`, 'a.md')
    expect(performance.now() - started).toBeLessThan(5000)
  })
})

describe('HTML', () => {
  it('gives structure and metadata, and nothing that is run, hidden or for navigation', async () => {
    const document = await parse(
      `<html lang="en-GB"><head><title>Herons &amp; egrets</title><meta name="author" content="Ada"><meta name="date" content="2024-05-01"></head>
      <body><nav>Home</nav><script>evil()</script><div hidden>secret</div>
      <h1>Herons</h1><p>They  stand<br>still.</p>
      <ul><li>One<ol><li>Two</li></ol></li><li><p>Three</p></li></ul>
      <pre><code class="language-js">if (a) {\n  b()\n}</code></pre>
      <table><caption>Sizes</caption><thead><tr><th>Name</th><th>cm</th></tr></thead><tr><td rowspan=2>Grey</td><td>90</td></tr><tr><td>98</td></tr></table>
      <blockquote><p>Said one.</p></blockquote><img src="http://127.0.0.1:1/x.png" alt="A heron"></body></html>`,
      'a.html',
    )
    expect(document).toMatchObject({
      title: 'Herons & egrets',
      authors: ['Ada'],
      date: '2024-05-01',
      language: 'en',
    })
    expect(document.blocks).toEqual([
      { type: 'heading', level: 1, text: 'Herons' },
      { type: 'paragraph', text: 'They stand\nstill.' },
      {
        type: 'list',
        ordered: false,
        items: [
          { text: 'One', level: 0 },
          { text: 'Two', level: 1 },
          { text: 'Three', level: 0 },
        ],
      },
      { type: 'code', language: 'js', text: 'if (a) {\n  b()\n}' },
      { type: 'paragraph', text: 'Sizes' },
      {
        type: 'table',
        header: [['Name', 'cm']],
        rows: [
          ['Grey', '90'],
          ['Grey', '98'],
        ],
      },
      { type: 'quotation', text: 'Said one.' },
      { type: 'image', alt: 'A heron' },
    ])
  })

  it('reads a page laid out by tables as text', async () => {
    const document = await parse(
      '<table><tr><td><h1>Top</h1><p>Text</p></td><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>',
      'a.html',
    )
    expect(document.blocks.map(({ type }) => type)).toEqual(['heading', 'paragraph', 'table'])
  })

  it.each([
    [
      'a declared charset',
      iconv.encode('<p>Цапля стоит</p>', 'windows-1251'),
      'text/html; charset=windows-1251',
    ],
    [
      'a meta charset',
      iconv.encode('<meta charset="windows-1251"><p>Цапля стоит</p>', 'windows-1251'),
      undefined,
    ],
    [
      'valid UTF-8 under a lying meta',
      Buffer.from('<meta charset="windows-1251"><p>Цапля стоит</p>'),
      undefined,
    ],
    [
      'UTF-16 with a mark',
      Buffer.concat([Buffer.from('fffe', 'hex'), Buffer.from('<p>Цапля стоит</p>', 'utf16le')]),
      undefined,
    ],
  ])('is decoded by %s', async (_, bytes, declaredType) => {
    expect((await parse(bytes, 'a.html', { declaredType })).blocks).toEqual([
      { type: 'paragraph', text: 'Цапля стоит' },
    ])
  })

  it('survives 50,000 nested elements of any kind', async () => {
    for (const tag of ['div', 'ul><li', 'blockquote', 'table><tr><td', 'b']) {
      const document = await parse(`<html>${`<${tag}>`.repeat(50_000)}deep heron`, 'a.html')
      expect(renderDocument(document).text).toContain('deep heron')
    }
  })
})

describe('plain text', () => {
  it('finds headings, lists, code and wrapped paragraphs', async () => {
    const document = await parse(
      `Herons\n======\n\nThe grey heron stands in the shallow water and waits for a\nfish, a frog or a vole, and it strikes with great speed when\none comes near.\n\nRoses are red\nviolets are blue\n\n- one\n  more of it\n- two\n\n    if (a) {\n      b();\n    }\n`,
      'a.txt',
    )
    expect(document.blocks).toEqual([
      { type: 'heading', level: 1, text: 'Herons' },
      {
        type: 'paragraph',
        text: expect.stringMatching(/^The grey heron [^\n]*waits for a fish[^\n]*near\.$/),
      },
      { type: 'paragraph', text: 'Roses are red\nviolets are blue' },
      {
        type: 'list',
        ordered: false,
        items: [
          { text: 'one more of it', level: 0 },
          { text: 'two', level: 0 },
        ],
      },
      { type: 'code', text: 'if (a) {\n  b();\n}' },
    ])
  })

  const russian =
    'Серая цапля стоит в мелкой воде и ждёт рыбу, лягушку или мышь. Она бьёт очень быстро, когда добыча близко.'
  const japanese = 'アオサギは浅い水の中に立って魚を待っている。近くに来ると素早く捕まえる。'
  it.each([
    ['windows-1251', russian],
    ['koi8-r', russian],
    ['shift_jis', japanese],
    ['euc-jp', japanese],
    ['utf-16le', russian],
    ['utf-16be', 'The heron stands in the river.'],
    ['utf-32le', 'The heron stands in the river.'],
  ])('in %s is recognised without a mark', async (encoding, text) => {
    expect(renderDocument(await parse(iconv.encode(text, encoding), 'a.txt')).text).toBe(text)
  })

  it('with a few broken bytes stays UTF-8, with a warning', async () => {
    const document = await parse(
      Buffer.concat([Buffer.from(russian), Buffer.from([0xff, 0xfe]), Buffer.from(russian)]),
      'a.txt',
    )
    expect(renderDocument(document).text.replaceAll('\ufffd', '')).toBe(russian + russian)
    expect(document.warnings[0]).toMatch(/encoding/)
  })
})

describe('PDF', () => {
  const prose = (page: number) =>
    Array.from(
      { length: 20 },
      (_, line) => `On page ${page} in line ${line} the heron stands in the river and waits.`,
    )

  it('gives text by page, headings, code, metadata, and no running lines', async () => {
    const pages = [1, 2, 3, 4].map((page) => ({
      content: [
        `BT /F1 9 Tf 72 770 Td (The Heron Gazette ${page}) Tj ET`,
        `BT /F2 20 Tf 72 720 Td (Chapter ${'ABCD'[page - 1]}) Tj ET`,
        textContent(prose(page)).replace('72 720', '72 690'),
        textContent(['function heron(a) {', '  return a + 1', '}'], 'F3', 10).replace('72 720', '72 330'),
        `BT /F1 9 Tf 290 30 Td (${page}) Tj ET`,
      ].join('\n'),
    }))
    const document = await parse(buildPdf(pages, { title: 'Of herons', author: 'Ada; Bo' }), 'a.pdf')
    expect(document).toMatchObject({
      title: 'Of herons',
      authors: ['Ada', 'Bo'],
      page_count: 4,
      language: 'en',
      warnings: [],
    })
    const headings = document.blocks.filter(({ type }) => type === 'heading')
    expect(headings.map((block) => 'text' in block && [block.text, block.page])).toEqual([
      ['Chapter A', 1],
      ['Chapter B', 2],
      ['Chapter C', 3],
      ['Chapter D', 4],
    ])
    expect(document.blocks.find(({ type }) => type === 'code')).toMatchObject({
      text: expect.stringContaining('  return a + 1'),
      page: 1,
    })
    const { text } = renderDocument(document)
    expect(text).toContain('On page 3 in line 7 the heron stands')
    expect(text).not.toContain('Gazette')
  })

  it('keeps paragraphs apart and the lines of a verse', async () => {
    const at = (y: number, lines: string[], x = 72) => textContent(lines).replace('72 720', `${x} ${y}`)
    const verse = ['The heron on the river,', 'Doth stand in fear and dread,', 'And, having seen the eagle,']
    const pages = [
      { content: at(720, [...prose(1), 'It stands there all day, and when the sun goes down it is still']) },
      {
        content: [
          at(720, ['in the river. It is a patient bird and nobody has seen it leave before the night.']),
          at(690, [...prose(2).slice(0, 2), 'It sleeps.']),
          at(630, [...prose(3).slice(0, 2), 'It wakes.']),
          at(560, verse, 110),
        ].join('\n'),
      },
    ]
    const { blocks } = await parse(buildPdf(pages), 'a.pdf')
    expect(blocks.map((block) => 'text' in block && [block.page, block.text.slice(-30)])).toEqual([
      [1, 'seen it leave before the night.'.slice(-30)],
      [2, expect.stringMatching(/It sleeps\.$/)],
      [2, expect.stringMatching(/It wakes\.$/)],
      [2, verse.join('\n').slice(-30)],
    ])
  })

  it('takes heading levels from the outline', async () => {
    const pages = ['Alpha', 'Beta', 'Gamma'].map((name, index) => ({
      content: `BT /F2 12 Tf 72 720 Td (${name}) Tj ET\n${textContent(prose(index)).replace('72 720', '72 690')}`,
    }))
    const document = await parse(
      buildPdf(pages, {
        outline: [
          ['Alpha', 0],
          ['Beta', 1],
          ['Gamma', 2],
        ],
      }),
      'a.pdf',
    )
    expect(document.blocks.filter(({ type }) => type === 'heading')).toMatchObject([
      { text: 'Alpha', level: 1 },
      { text: 'Beta', level: 1 },
      { text: 'Gamma', level: 1 },
    ])
  })

  it('is read without native code, too', async () => {
    const document = await parse(buildPdf([{ lines: prose(1) }, { lines: prose(2) }]), 'a.pdf', {
      avoidNative: true,
    })
    expect(renderDocument(document).text).toContain('On page 2 in line 7 the heron stands')
  })

  it('reads text that is turned', async () => {
    const turned = `BT /F1 11 Tf 0 1 -1 0 300 100 Tm (${prose(1)[0]}) Tj ET`
    expect(renderDocument(await parse(buildPdf([{ content: turned }]), 'a.pdf')).text).toContain(
      'the heron stands in the river',
    )
  })

  it('says which pages gave no text', async () => {
    const document = await parse(
      buildPdf([{ lines: prose(1) }, { content: '' }, { content: '' }, { lines: prose(4) }]),
      'a.pdf',
    )
    expect(document.warnings).toEqual(['Pages 2 to 3 gave no text.'])
    const scan = await parse(buildPdf([{ content: '' }, { content: '' }, { content: '' }]), 'a.pdf')
    expect(scan.warnings).toEqual([
      'The PDF has no text layer (it may be a scan): pages 1 to 3 gave no text.',
    ])
    expect(describePages([1, 3, 7, 8, 9])).toBe('Pages 1, 3 and 7 to 9')
  })

  it('says when there were too many pages', async () => {
    const document = await parse(buildPdf([1, 2, 3].map((page) => ({ lines: prose(page) }))), 'a.pdf', {
      maxPages: 2,
    })
    expect(document.warnings).toEqual(['Only the first 2 of 3 pages were read.'])
    expect(renderDocument(document).text).not.toContain('On page 3')
  })

  it('with an owner password opens, with a user password is refused', async () => {
    expect(
      renderDocument(await parse(buildPdf([{ lines: prose(1) }], { encrypt: 'owner' }), 'a.pdf')).text,
    ).toContain('On page 1')
    await expect(parse(buildPdf([{ lines: prose(1) }], { encrypt: 'user' }), 'a.pdf')).rejects.toMatchObject({
      code: 'encrypted_file',
    })
  })

  it('that is only a header or cut off is refused or read in part', async () => {
    await expect(parse('%PDF-1.7\n', 'a.pdf')).rejects.toMatchObject({ code: 'corrupt_file' })
    const whole = buildPdf([1, 2, 3].map((page) => ({ lines: prose(page) })))
    await expect(parse(whole.subarray(0, 300), 'a.pdf')).rejects.toMatchObject({ code: 'corrupt_file' })
    expect(renderDocument(await parse(whole.subarray(0, whole.length - 20), 'a.pdf')).text).toContain(
      'On page 1',
    )
  })
})
