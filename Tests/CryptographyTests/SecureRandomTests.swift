import Cryptography
import Testing

struct SecureRandomTests {
  @Test func `it yields as many bytes as asked for`() {
    for count in [0, 1, 7, 32, 4097] { #expect(SecureRandom.bytes(count).count == count) }
  }

  @Test func `no 16 bytes come twice`() {
    #expect(Set((0..<10_000).map { _ in SecureRandom.bytes(16) }).count == 10_000)
  }

  @Test func `every byte value is about equally frequent`() {
    var counts = [Int](repeating: 0, count: 256)
    for byte in SecureRandom.bytes(256 * 1_000) { counts[Int(byte)] += 1 }
    // 1000 ± 8 standard deviations: fails by chance once in 10¹² runs.
    #expect(counts.allSatisfy { (747...1_253).contains($0) })
  }

  @Test func `the generator repeats nothing, across refills and copies`() {
    let generator = SecureRandomNumberGenerator()
    let copy = generator
    let numbers = (0..<5_000).flatMap { _ in [generator.next(), copy.next()] }
    #expect(Set(numbers).count == numbers.count)
  }
}
