/// Rules about models, arranged so that a name is matched against all patterns at once.
///
/// What stands before a pattern's first star leads through a trie. Behind each star is a *gap*: the pattern goes on with a
/// word that may stand anywhere in the rest of the name, or ends with bytes that the name has to end with. Patterns that
/// begin alike share their gaps. The leftmost place of a word is always good enough, because it leaves most to the words
/// behind it; so each gap is entered once at most, at the leftmost place that the words before it allow, and nothing is
/// ever taken back.
///
/// **Cost.** Let n be the length of the name and P the number of patterns with stars for its provider. The trie takes n
/// comparisons. A gap with one word looks at the name only as far as that word's first place, where the next gap begins: on
/// the way along one pattern these stretches do not overlap, and take 2n. A gap where patterns part looks at all that is
/// left once, for all of its words together: 2n again, for at most P − 1 of them. The ends take n for each gap in which
/// patterns end, of which there are P at most. That is (5P + 1) · n in the worst case, whatever the patterns are, and
/// about n when most of their words do not occur. Nothing grows with the number of stars.
struct ModelTable: Sendable {
  typealias Member = (entry: RuleSet.Entry, provider: ProviderPattern, pattern: ModelPattern)

  private struct Pattern: Sendable {
    let entry: RuleSet.Entry
    let rank: UInt64
    /// Whether anything may follow (`gpt-4*`).
    let isOpen: Bool
  }

  /// What may follow a star.
  private struct Gap: Sendable {
    /// The end of the name, read backwards, in `ends`; -1 when no pattern ends here.
    var ends: Int32 = -1
    /// The words that another star follows, in `words`; -1 when there is none.
    var words: Int32 = -1
    var wordCount: Int32 = 0
  }

  /// The root in `beginnings` of each provider that rules name. A few are looked through, which takes less than a hash.
  private var fewRoots: [(provider: String, root: Int32)] = []
  private var manyRoots: [String: Int32] = [:]
  /// The root for rules about any provider; -1 when there is none.
  private var anyRoot: Int32 = -1
  private static let few = 8

  /// All of them, as the nodes of `beginnings` and `ends` hold them.
  private var patterns: [Pattern] = []
  /// Whole names, and names that anything may follow. A node's link is the gap behind it.
  private var beginnings = ByteTrie()
  private var gaps: [Gap] = []
  private var ends = ByteTrie()
  /// A word means the gap behind it.
  private var words = WordAutomata()

  /// - Parameter members: deny before allow; of two that are alike in all else the first decides.
  init(_ members: [Member]) {
    var roots: [ProviderPattern: Int32] = [:]
    var beginning: [(node: Int32, pattern: Pattern)] = []
    var ending: [(node: Int32, pattern: Pattern)] = []
    for (place, member) in members.enumerated() {
      let literals = member.pattern.literals
      guard let first = literals.first, let last = literals.last else { continue }
      let root = roots[member.provider] ?? beginnings.addRoot()
      roots[member.provider] = root
      let node = beginnings.node(at: first, from: root)
      let isOpen = literals.count == 2 && last.isEmpty
      let pattern = Pattern(
        entry: member.entry, rank: Self.rank(member, at: place), isOpen: isOpen)
      if literals.count == 1 || isOpen {
        beginning.append((node, pattern))
      } else {
        let gap = gap(behind: literals.dropFirst().dropLast(), from: node)
        if gaps[Int(gap)].ends < 0 { gaps[Int(gap)].ends = ends.addRoot() }
        ending.append((ends.node(at: last.reversed(), from: gaps[Int(gap)].ends), pattern))
      }
    }
    Self.hold(beginning, in: &beginnings, &patterns)
    Self.hold(ending, in: &ends, &patterns)
    for gap in gaps where gap.words >= 0 { words.complete(from: gap.words) }
    setRoots(roots)
  }

  private static func hold(
    _ held: [(node: Int32, pattern: Pattern)], in trie: inout ByteTrie, _ patterns: inout [Pattern]
  ) {
    for (node, pattern) in held.sorted(by: { $0.node < $1.node }) {
      let place = Int32(patterns.count)
      if trie[node].end == 0 { trie[node].first = place }
      trie[node].end = place + 1
      patterns.append(pattern)
    }
  }

  private mutating func setRoots(_ roots: [ProviderPattern: Int32]) {
    var named: [String: Int32] = [:]
    for (provider, root) in roots {
      switch provider {
      case .any: anyRoot = root
      case .named(let provider): named[provider.description] = root
      }
    }
    if named.count > Self.few {
      manyRoots = named
    } else {
      fewRoots = named.map { (provider: $0.key, root: $0.value) }
    }
  }

  /// The gap that these words lead to, made on the way when it is not there.
  private mutating func gap(behind words: ArraySlice<[UInt8]>, from node: Int32) -> Int32 {
    var gap = beginnings[node].link
    if gap < 0 {
      gap = addGap()
      beginnings[node].link = gap
    }
    for word in words {
      if gaps[Int(gap)].words < 0 { gaps[Int(gap)].words = self.words.addRoot() }
      let next = Int32(gaps.count)
      let meaning = self.words.add(word, from: gaps[Int(gap)].words, meaning: next)
      if meaning == next {
        gaps[Int(gap)].wordCount += 1
        gaps.append(Gap())
      }
      gap = meaning
    }
    return gap
  }

  private mutating func addGap() -> Int32 {
    gaps.append(Gap())
    return Int32(gaps.count - 1)
  }

  /// The greater one decides: it says more; of two that say as much it has fewer stars, names the provider, or comes first.
  private static func rank(_ member: Member, at place: Int) -> UInt64 {
    let isNamed = member.provider != .any
    return UInt64(member.pattern.specificity) << 48
      | UInt64(ModelPattern.longest - member.pattern.stars) << 40
      | (isNamed ? 1 : 0) << 32 | UInt64(UInt32.max - UInt32(place))
  }

  /// About how much memory it takes, in bytes.
  var byteCount: Int {
    let names = (fewRoots.map(\.provider) + manyRoots.keys).reduce(0) { $0 + $1.utf8.count + 48 }
    return names + beginnings.byteCount + ends.byteCount + words.byteCount
      + patterns.count * MemoryLayout<Pattern>.stride + gaps.count * MemoryLayout<Gap>.stride
  }

  // MARK: Matching

  func rule(
    for name: String, of provider: String, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    let root = root(of: provider)
    guard root >= 0 || anyRoot >= 0 else { return nil }
    return ModelPattern.withLowercased(name) { name in
      var search = Search(name: name, time: time)
      defer { search.found?.deallocate() }
      if root >= 0 { find(from: root, &search, &trace) }
      if anyRoot >= 0 { find(from: anyRoot, &search, &trace) }
      return search.best < 0 ? nil : patterns[search.best].entry
    }
  }

  private func root(of provider: String) -> Int32 {
    if manyRoots.isEmpty {
      return fewRoots.first { $0.provider == provider }?.root ?? -1
    }
    return manyRoots[provider] ?? -1
  }

  /// One name on its way through the table.
  private struct Search {
    let name: UnsafeBufferPointer<UInt8>
    let time: Timestamp
    /// The place of the pattern that decides so far; -1 when none does.
    var best = -1
    var rank: UInt64 = 0
    /// The words that were found, by their states, a bit each; made when it is first needed, which it hardly ever is.
    var found: UnsafeMutablePointer<UInt64>?

    /// - Returns: false when the word was found before.
    mutating func find(_ word: Int32, of states: Int) -> Bool {
      let bits: UnsafeMutablePointer<UInt64>
      if let found {
        bits = found
      } else {
        bits = .allocate(capacity: states / 64 + 1)
        bits.initialize(repeating: 0, count: states / 64 + 1)
        found = bits
      }
      let (place, bit) = (Int(word) / 64, UInt64(1) << UInt64(word % 64))
      guard bits[place] & bit == 0 else { return false }
      bits[place] |= bit
      return true
    }
  }

  private func matched(
    _ index: Int, _ search: inout Search, _ trace: inout some DecisionTrace
  ) {
    let pattern = patterns[index]
    trace.looked(at: pattern.entry.id)
    guard pattern.entry.isInForce(at: search.time) else { return }
    if search.best < 0 || pattern.rank > search.rank {
      (search.best, search.rank) = (index, pattern.rank)
    }
  }

  private func find(from root: Int32, _ search: inout Search, _ trace: inout some DecisionTrace) {
    var (node, depth) = (beginnings[root], 0)
    while true {
      for index in Int(node.first)..<Int(node.end)
      where depth == search.name.count || patterns[index].isOpen {
        matched(index, &search, &trace)
      }
      if node.link >= 0 { enter(node.link, at: depth, &search, &trace) }
      guard depth < search.name.count else { return }
      trace.compared()
      let child = beginnings.child(node, search.name[depth])
      guard child != 0 else { return }
      node = beginnings[child]
      depth += 1
    }
  }

  /// - Parameter start: where the rest of the name begins. The depth of the recursion is the number of a pattern's stars.
  private func enter(
    _ index: Int32, at start: Int, _ search: inout Search, _ trace: inout some DecisionTrace
  ) {
    let gap = gaps[Int(index)]
    if gap.ends >= 0 { matchEnds(from: gap.ends, downTo: start, &search, &trace) }
    guard gap.words >= 0 else { return }
    var (state, missing) = (gap.words, gap.wordCount)
    for place in start..<search.name.count {
      state = words.step(from: state, search.name[place], root: gap.words, &trace)
      // Where a word was found before, the shorter ones that it ends with were, too.
      var word = words.longestWord(at: state)
      while let found = word, search.find(found, of: words.count) {
        enter(words.meaning(of: found), at: place + 1, &search, &trace)
        missing -= 1
        if missing == 0 { return }
        word = words.nextWord(after: found)
      }
    }
  }

  private func matchEnds(
    from root: Int32, downTo start: Int, _ search: inout Search, _ trace: inout some DecisionTrace
  ) {
    var (node, end) = (ends[root], search.name.count)
    while true {
      for index in Int(node.first)..<Int(node.end) { matched(index, &search, &trace) }
      guard end > start else { return }
      trace.compared()
      let child = ends.child(node, search.name[end - 1])
      guard child != 0 else { return }
      node = ends[child]
      end -= 1
    }
  }
}
