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
    var countries: [Int: [Entry]] = [:]
    var regions: [Region: [Entry]] = [:]
    var models: [ModelTable.Member] = []
    for (id, rule) in rules {
      let entry = Entry(id, rule)
      switch rule.match {
      case .network(let network) where network.isIPv4:
        version4.append(
          (UInt32(truncatingIfNeeded: network.base.bits), network.prefixLength, entry))
      case .network(let network):
        version6.append((network.base.bits, network.prefixLength, entry))
      case .country(let country): countries[country.index, default: []].append(entry)
      case .region(let region): regions[region, default: []].append(entry)
      case .model(let provider, let pattern): models.append((entry, provider, pattern))
      }
    }
    self.version4 = NetworkTable(version4)
    self.version6 = NetworkTable(version6)
    geography = GeographyTable(countries, regions)
    self.models = ModelTable(models)
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
  /// Where the rules of each country begin, by its index, and one more: where those of the last one end.
  private var starts: [Int32] = []
  private var entries: [RuleSet.Entry] = []

  init(_ countries: [Int: [RuleSet.Entry]], _ regions: [Region: [RuleSet.Entry]]) {
    guard !countries.isEmpty || !regions.isEmpty else { return }
    for (index, region) in Region.byCountry.enumerated() {
      starts.append(Int32(entries.count))
      entries += countries[index] ?? []
      if let region { entries += regions[region] ?? [] }
    }
    starts.append(Int32(entries.count))
  }

  func rule(
    for country: Country, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    guard country.index + 1 < starts.count else { return nil }
    for place in Int(starts[country.index])..<Int(starts[country.index + 1]) {
      let entry = entries[place]
      trace.looked(at: entry.id)
      if entry.isInForce(at: time) { return entry }
    }
    return nil
  }
}

/// Patterns by provider, each at the node of a trie that what stands before its first star leads to.
private struct ModelTable: Sendable {
  typealias Member = (entry: RuleSet.Entry, provider: String, pattern: ModelPattern)

  private struct Node: Sendable {
    let byte: UInt8
    /// Places in `nodes`; 0 when there is none, because nobody leads to the first root.
    var firstChild: Int32 = 0
    var nextSibling: Int32 = 0
    /// Places in `patterns`.
    var firstPattern: Int32 = 0
    var endPattern: Int32 = 0
  }

  private struct Pattern: Sendable {
    /// What is left to look at when its node has been reached.
    enum Rest: Sendable {
      case nothing, anything
      case other(ModelPattern)
    }

    let entry: RuleSet.Entry
    let rest: Rest
    /// The one that says more decides; of two that say as much the one with fewer stars; then the first one.
    let rank: (specificity: Int, fewerStars: Int, earlier: Int)

    init(_ member: Member, place: Int) {
      entry = member.entry
      let pattern = member.pattern
      rest =
        pattern.stars == 0
        ? .nothing : pattern.stars == 1 && pattern.literals[1].isEmpty ? .anything : .other(pattern)
      rank = (pattern.specificity, -pattern.stars, -place)
    }

    func matches(_ name: UnsafeBufferPointer<UInt8>, behind depth: Int) -> Bool {
      switch rest {
      case .nothing: depth == name.count
      case .anything: true
      case .other(let pattern): pattern.matches(name)
      }
    }
  }

  /// A few: looking at each takes less than hashing one.
  private var roots: [(provider: String, place: Int32)] = []
  private var nodes: [Node] = []
  private var patterns: [Pattern] = []

  init(_ members: [Member]) {
    var held: [Int32: [Pattern]] = [:]
    for (place, member) in members.enumerated() {
      held[reach(member.provider, member.pattern.literals[0]), default: []]
        .append(Pattern(member, place: place))
    }
    for node in nodes.indices {
      nodes[node].firstPattern = Int32(patterns.count)
      patterns += held[Int32(node)] ?? []
      nodes[node].endPattern = Int32(patterns.count)
    }
  }

  /// The node that some bytes lead to, made on the way.
  private mutating func reach(_ provider: String, _ bytes: [UInt8]) -> Int32 {
    var place: Int32
    if let root = roots.first(where: { $0.provider == provider }) {
      place = root.place
    } else {
      place = add(Node(byte: 0))
      roots.append((provider, place))
    }
    for byte in bytes {
      var child = child(of: place, byte)
      if child == 0 {
        child = add(Node(byte: byte, nextSibling: nodes[Int(place)].firstChild))
        nodes[Int(place)].firstChild = child
      }
      place = child
    }
    return place
  }

  private mutating func add(_ node: Node) -> Int32 {
    nodes.append(node)
    return Int32(nodes.count - 1)
  }

  /// 0 when there is none.
  private func child(of place: Int32, _ byte: UInt8) -> Int32 {
    var child = nodes[Int(place)].firstChild
    while child != 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].nextSibling }
    return child
  }

  func rule(
    for name: String, of provider: String, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    guard let root = roots.first(where: { $0.provider == provider }) else { return nil }
    return ModelPattern.withLowercased(name) { name in
      rule(for: name, from: root.place, at: time, &trace)
    }
  }

  private func rule(
    for name: UnsafeBufferPointer<UInt8>, from root: Int32, at time: Timestamp,
    _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    var place = root
    var best: Int?
    var depth = 0
    while true {
      let node = nodes[Int(place)]
      for index in Int(node.firstPattern)..<Int(node.endPattern) {
        trace.looked(at: patterns[index].entry.id)
        if patterns[index].entry.isInForce(at: time),
          best.map({ patterns[index].rank > patterns[$0].rank }) ?? true,
          patterns[index].matches(name, behind: depth)
        {
          best = index
        }
      }
      guard depth < name.count else { break }
      place = child(of: place, name[depth])
      if place == 0 { break }
      depth += 1
    }
    return best.map { patterns[$0].entry }
  }
}
