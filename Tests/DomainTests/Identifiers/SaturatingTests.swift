import Support
import Testing

@testable import Domain

@Suite struct SaturatingTests {
  @Test func `a result without a place is the nearest one that has one`() {
    for left in Int8.min...Int8.max {
      for right in Int8.min...Int8.max {
        let (a, b) = (Int(left), Int(right))
        let added = Int(left +| right)
        #expect(added == min(max(a + b, -128), 127))
        let subtracted = Int(left -| right)
        #expect(subtracted == min(max(a - b, -128), 127))
        let multiplied = Int(left *| right)
        #expect(multiplied == min(max(a * b, -128), 127))
        var sum = left
        sum +|= right
        let expected = left +| right
        #expect(sum == expected)
      }
    }
    let ends = [Int64.max +| 1, .min -| 1, .max *| 1_000_000, .max *| -1_000_000]
    #expect(ends == [.max, .min, .max, .min])
  }

  @Test func `a number with a fraction becomes the nearest whole one`() {
    for (number, whole) in [
      (0.5, 1), (-0.5, -1), (0.49, 0), (1e300, .max), (-1e300, .min), (.infinity, .max),
      (-.infinity, .min), (.nan, 0), (0x1p63, .max), (-0x1p63, .min), (0x1p62, 1 << 62),
    ] as [(Double, Int64)] {
      #expect(Int64(saturating: number) == whole, "\(number)")
    }
  }
}
