// Judges the generated C# by what Python says of the contract:
//
//     ContractCheck names NAMES.json       compares every property, JSON key, oneof and enum value by reflection
//     ContractCheck messages INPUT OUTPUT  decodes INPUT/<message>#<n>.binpb and .json and encodes each again, both ways
//
// Exit code 0 if all agrees, 1 with a line for each difference, 2 for a wrong call.
using ContractCheck;

return args switch
{
    ["names", var names] => Report(Names.Differences(names)),
    ["messages", var input, var output] => Report(Messages.Reencode(input, output)),
    _ => 2,
};

static int Report(IEnumerable<string> differences)
{
    var found = differences.ToList();
    found.ForEach(Console.WriteLine);
    return found.Count == 0 ? 0 : 1;
}
