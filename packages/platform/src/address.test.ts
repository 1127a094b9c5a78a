import { expect, test } from 'vitest'
import { addressBlock, canonicalAddress } from './address.ts'

test.each([
  ['192.0.2.1', '192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:0201', '192.0.2.1', '192.0.2.1'],
  ['0:0:0:0:0:ffff:192.0.2.255', '192.0.2.255', '192.0.2.255'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '2001:db8::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::7', '2001:db8:1:2::7', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::', '2001:db8:1:2:ffff::', '2001:db8:1:2::/64'],
  ['::1', '::1', '::/64'],
  ['::', '::', '::/64'],
  ['fe80::1%eth0', 'fe80::1', 'fe80::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221', '64:ff9b::/64'],
])('%s is %s, and counted as %s', (text, canonical, block) => {
  expect(canonicalAddress(text)).toBe(canonical)
  expect(addressBlock(text)).toBe(block)
})

test.each([
  '',
  'unknown',
  '192.0.2',
  '192.0.2.1:80',
  '[::1]',
  '1.2.3.4.5',
  '::1::',
  'localhost',
  '0x7f.1',
  ' ::1',
])('%j is no address', (text) => {
  expect(canonicalAddress(text)).toBeUndefined()
  expect(addressBlock(text)).toBe(text)
})
