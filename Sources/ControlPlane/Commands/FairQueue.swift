import Domain

/// What waits, and whose turn it is: tenants take turns by cost.
///
/// Start-time fair queueing (Goyal, Vin and Cheng, 1996). What a tenant asks for begins, on a clock that only turns when
/// something is served, where the tenant's request before it ended, or now if that is later; what begins first is served
/// first. So a tenant who asks for much waits behind those who ask for little, and a tenant who has asked for nothing lately
/// waits behind nobody. Requests of one tenant keep their order, and nothing waits for ever.
struct FairQueue<Element> {
  /// How much is served at a time.
  struct Limits {
    let count: Int
    let weight: Int
    /// Whatever weighs more than this is served alone.
    let alone: Int
  }

  struct Batch {
    var elements: [Element]
    let isAlone: Bool
  }

  private struct Item {
    let element: Element
    let tenant: OrganizationID
    let weight: Int
    let start: Int
  }

  private let limits: Limits
  /// In the order of arrival.
  private var waiting: [Item] = []
  private var weight = 0
  private var aloneCount = 0
  private var clock = 0
  private var newestStart = 0
  /// Whose large element is served beside the batches.
  private var busy: OrganizationID?
  /// Where each tenant's last request ends. Forgotten when nobody waits.
  private var ends: [OrganizationID: Int] = [:]

  init(_ limits: Limits) {
    self.limits = limits
  }

  var count: Int { waiting.count }
  var isEmpty: Bool { waiting.isEmpty }

  mutating func append(_ element: Element, of tenant: OrganizationID, weight: Int) {
    let start = max(clock, ends[tenant] ?? 0)
    ends[tenant] = start + weight
    newestStart = max(newestStart, start)
    add(Item(element: element, tenant: tenant, weight: weight, start: start), at: waiting.count)
  }

  /// Puts back what turned out to weigh more than it was taken for. It keeps its turn, and pays the difference.
  mutating func putBack(
    _ element: Element, of tenant: OrganizationID, weight: Int, insteadOf former: Int
  ) {
    ends[tenant] = max(clock, ends[tenant] ?? 0) + max(0, weight - former)
    add(Item(element: element, tenant: tenant, weight: weight, start: clock), at: 0)
  }

  /// From now on, and until ``endAlone()``, what is served alone is on its way beside the batches: nothing else of its tenant is
  /// taken, and nothing else that is to be served alone.
  mutating func beginAlone(of tenant: OrganizationID) { busy = tenant }

  mutating func endAlone() { busy = nil }

  private func mayBeTaken(_ item: Item) -> Bool {
    guard let busy else { return true }
    return item.tenant != busy && item.weight <= limits.alone
  }

  /// Takes the next batch; nil when nothing may be taken.
  mutating func next() -> Batch? {
    guard !waiting.isEmpty else {
      reset()
      return nil
    }
    if busy == nil, waiting.count <= limits.count, weight <= limits.weight, aloneCount == 0 {
      defer { waiting.removeAll(keepingCapacity: true) }
      (clock, weight) = (newestStart, 0)
      forgetEnded()
      return Batch(elements: waiting.map(\.element), isAlone: false)
    }
    let order = waiting.indices.filter { mayBeTaken(waiting[$0]) }.sorted {
      (waiting[$0].start, $0) < (waiting[$1].start, $1)
    }
    var taken: [Int] = []
    var (takenWeight, isAlone) = (0, false)
    for index in order {
      let item = waiting[index]
      if item.weight > limits.alone {
        guard taken.isEmpty else { break }
        isAlone = true
      } else if taken.count == limits.count || takenWeight + item.weight > limits.weight {
        break
      }
      taken.append(index)
      takenWeight += item.weight
      if isAlone { break }
    }
    guard !taken.isEmpty else { return nil }
    let elements = taken.map { waiting[$0].element }
    clock = max(clock, taken.map { waiting[$0].start }.max() ?? clock)
    remove(Set(taken))
    forgetEnded()
    return Batch(elements: elements, isAlone: isAlone)
  }

  /// What waits, in the order of arrival, and need not be served alone.
  var joinable: [(place: Int, element: Element)] {
    waiting.enumerated().compactMap { place, item in
      item.weight > limits.alone || !mayBeTaken(item) ? nil : (place, item.element)
    }
  }

  /// Takes some of those that are ``joinable``, out of turn.
  mutating func take(at places: [Int]) -> [Element] {
    guard !places.isEmpty else { return [] }
    let elements = places.map { waiting[$0].element }
    clock = max(clock, places.map { waiting[$0].start }.max() ?? clock)
    remove(Set(places))
    return elements
  }

  private mutating func add(_ item: Item, at index: Int) {
    waiting.insert(item, at: index)
    weight += item.weight
    if item.weight > limits.alone { aloneCount += 1 }
  }

  private mutating func remove(_ indices: Set<Int>) {
    var rest: [Item] = []
    rest.reserveCapacity(waiting.count - indices.count)
    for (index, item) in waiting.enumerated() {
      guard indices.contains(index) else {
        rest.append(item)
        continue
      }
      weight -= item.weight
      if item.weight > limits.alone { aloneCount -= 1 }
    }
    waiting = rest
  }

  private mutating func reset() {
    (clock, newestStart) = (0, 0)
    ends.removeAll(keepingCapacity: ends.count < 1024)
  }

  /// An end that the clock has passed says nothing any more. Seldom, so that it costs next to nothing each time.
  private mutating func forgetEnded() {
    guard ends.count > 1024, ends.count > 4 * waiting.count else { return }
    ends = ends.filter { $0.value > clock }
  }
}
