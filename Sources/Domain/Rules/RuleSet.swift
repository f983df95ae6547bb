/// The rules of one project and of the workspace around it, arranged so that finding the one that decides takes no longer
/// with a thousand of them than with ten. Made once for every position of the log, and then only read.
package struct RuleSet: Sendable {
  /// A rule as decisions see it.
  struct Entry: Sendable {
    let id: RuleID
    let effect: Rule.Effect
    /// In microseconds; the largest number when it does not expire.
    let expiresAt: Int64

    init(_ id: RuleID, _ rule: Rule) {
      self.id = id
      effect = rule.effect
      expiresAt = rule.expiresAt?.microseconds ?? .max
    }

    func isInForce(at time: Timestamp) -> Bool { time.microseconds < expiresAt }
  }

  private let version4: NetworkTable<UInt32>
  private let version6: NetworkTable<UInt128>
  private let geography: GeographyTable
  private let models: ModelTable

  package init(_ rules: [RuleID: Rule]) {
    // Deny before allow at equal rank, and always in the same order.
    let rules = rules.sorted {
      ($0.value.effect == .allow ? 1 : 0, $0.key.uuid) < (
        $1.value.effect == .allow ? 1 : 0, $1.key.uuid
      )
    }
    var version4: [(UInt32, Int, Entry)] = []
    var version6: [(UInt128, Int, Entry)] = []
    var geography = GeographyTable()
    var models = ModelTable()
    for (id, rule) in rules {
      let entry = Entry(id, rule)
      switch rule.match {
      case .network(let network) where network.isIPv4:
        version4.append(
          (UInt32(truncatingIfNeeded: network.base.bits), network.prefixLength, entry))
      case .network(let network):
        version6.append((network.base.bits, network.prefixLength, entry))
      case .country(let country): geography.add(entry, for: country)
      case .region(let region): geography.add(entry, for: region)
      case .model(let provider, let pattern): models.add(entry, provider, pattern)
      }
    }
    self.version4 = NetworkTable(version4)
    self.version6 = NetworkTable(version6)
    self.geography = geography
    self.models = models
  }

  /// The most specific network around an address that has a rule in force; deny before allow at equal length.
  func rule(
    for address: IPAddress, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> Entry? {
    address.isIPv4
      ? version4.rule(for: UInt32(truncatingIfNeeded: address.bits), at: time, &trace)
      : version6.rule(for: address.bits, at: time, &trace)
  }

  /// The rule for a country, else for its region.
  func rule(
    for country: Country, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> Entry? {
    geography.rule(for: country, at: time, &trace)
  }

  /// The rule whose pattern says most of a model's name.
  func rule(
    forModel name: String, of provider: String, at time: Timestamp,
    _ trace: inout some DecisionTrace
  ) -> Entry? {
    models.rule(for: name, of: provider, at: time, &trace)
  }
}

/// Networks as ranges of addresses that do not overlap: each belongs to the smallest network around it, and every network
/// knows the next larger one.
private struct NetworkTable<Address: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
  /// The first address of each range, in order.
  private var starts: [Address] = []
  /// The rule of the smallest network around each range; -1 when there is none.
  private var owners: [Int32] = []
  private var entries: [RuleSet.Entry] = []
  /// Of each rule, the one of the next larger network, or the next one of the same; -1 when there is none.
  private var parents: [Int32] = []

  /// - Parameter networks: first address, length of the prefix, rule; of equal ones the first decides.
  init(_ networks: [(base: Address, prefixLength: Int, entry: RuleSet.Entry)]) {
    // Larger networks first, and of equal ones the one that decides last: it is the innermost.
    let networks = networks.enumerated().sorted { left, right in
      (left.element.base, left.element.prefixLength, -left.offset)
        < (right.element.base, right.element.prefixLength, -right.offset)
    }.map(\.element)
    var open: [(end: Address, index: Int32)] = []
    func close(before next: Address?) {
      while let innermost = open.last, next.map({ innermost.end < $0 }) ?? true {
        open.removeLast()
        // Behind the last address there is none.
        if innermost.end < .max { begin(innermost.end + 1, open.last?.index ?? -1) }
      }
    }
    func begin(_ start: Address, _ owner: Int32) {
      if starts.last == start {
        owners[owners.count - 1] = owner
      } else {
        starts.append(start)
        owners.append(owner)
      }
    }
    for network in networks {
      close(before: network.base)
      let index = Int32(entries.count)
      entries.append(network.entry)
      parents.append(open.last?.index ?? -1)
      begin(network.base, index)
      let host = Address.bitWidth - network.prefixLength
      let end = host == Address.bitWidth ? .max : network.base | ((1 << host) - 1)
      open.append((end, index))
    }
    close(before: nil)
  }

  func rule(
    for address: Address, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    // The number of ranges that begin at the address or before it.
    var (low, high) = (0, starts.count)
    starts.withUnsafeBufferPointer { starts in
      while low < high {
        let middle = (low + high) / 2
        if starts[middle] <= address { low = middle + 1 } else { high = middle }
      }
    }
    guard low > 0 else { return nil }
    var index = Int(owners[low - 1])
    while index >= 0 {
      let entry = entries[index]
      trace.looked(at: entry.id)
      if entry.isInForce(at: time) { return entry }
      index = Int(parents[index])
    }
    return nil
  }
}

/// For every country its rules, and then those of its region.
private struct GeographyTable: Sendable {
  private var countries: [Int: [RuleSet.Entry]] = [:]
  private var regions: [Region: [RuleSet.Entry]] = [:]

  mutating func add(_ entry: RuleSet.Entry, for country: Country) {
    countries[country.index, default: []].append(entry)
  }

  mutating func add(_ entry: RuleSet.Entry, for region: Region) {
    regions[region, default: []].append(entry)
  }

  func rule(
    for country: Country, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    first(of: countries[country.index], time, &trace)
      ?? first(of: regions[country.region], time, &trace)
  }

  private func first(
    of entries: [RuleSet.Entry]?, _ time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    for entry in entries ?? [] {
      trace.looked(at: entry.id)
      if entry.isInForce(at: time) { return entry }
    }
    return nil
  }
}

/// Patterns by provider, each at the node of a trie that what stands before its first star leads to.
private struct ModelTable: Sendable {
  private struct Node: Sendable {
    let byte: UInt8
    /// Places in `nodes`; 0 when there is none, because nobody leads to the root.
    var firstChild = 0
    var nextSibling = 0
    var patterns: [Pattern] = []
  }

  private struct Pattern: Sendable {
    let pattern: ModelPattern
    let entry: RuleSet.Entry
    /// Its place among all patterns.
    let order: Int

    /// The one that says more decides; of two that say as much the one with fewer stars; then the first one.
    func isMoreSpecific(than other: Pattern) -> Bool {
      (pattern.specificity, -pattern.stars, -order)
        > (other.pattern.specificity, -other.pattern.stars, -other.order)
    }
  }

  private var roots: [String: Int] = [:]
  private var nodes: [Node] = [Node(byte: 0)]
  private var count = 0

  mutating func add(_ entry: RuleSet.Entry, _ provider: String, _ pattern: ModelPattern) {
    var place: Int
    if let root = roots[provider] {
      place = root
    } else {
      place = nodes.count
      nodes.append(Node(byte: 0))
      roots[provider] = place
    }
    for byte in pattern.literals[0] {
      var child = nodes[place].firstChild
      while child != 0, nodes[child].byte != byte { child = nodes[child].nextSibling }
      if child == 0 {
        child = nodes.count
        nodes.append(Node(byte: byte, nextSibling: nodes[place].firstChild))
        nodes[place].firstChild = child
      }
      place = child
    }
    nodes[place].patterns.append(Pattern(pattern: pattern, entry: entry, order: count))
    count += 1
  }

  func rule(
    for name: String, of provider: String, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    guard var place = roots[provider] else { return nil }
    let name = ModelPattern.lowercased(name)
    var best: Pattern?
    var depth = 0
    while true {
      for pattern in nodes[place].patterns {
        trace.looked(at: pattern.entry.id)
        guard pattern.entry.isInForce(at: time),
          best.map({ pattern.isMoreSpecific(than: $0) }) ?? true, pattern.pattern.matches(name)
        else { continue }
        best = pattern
      }
      guard depth < name.count else { break }
      var child = nodes[place].firstChild
      while child != 0, nodes[child].byte != name[depth] { child = nodes[child].nextSibling }
      guard child != 0 else { break }
      place = child
      depth += 1
    }
    return best?.entry
  }
}
